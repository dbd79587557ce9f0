"""Trains any network on a task within a budget, and fine-tunes it for int8."""
