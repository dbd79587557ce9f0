"""Clips from a small renderer: frames with depth, motion and jitter, and what they should be."""
