"""Skeletons: how an architecture's blocks are wired into a Graph."""

from search_spaces.skeletons import upscalers as upscalers  # registers its skeletons
from search_spaces.skeletons.registry import CENTRE, SKELETONS, lower, skeleton

__all__ = ["CENTRE", "SKELETONS", "lower", "skeleton"]
