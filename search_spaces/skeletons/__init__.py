"""Skeletons: how an architecture's blocks are wired into a Graph."""

from search_spaces.skeletons import classifier as classifier  # these register their skeletons
from search_spaces.skeletons import encoder_decoder as encoder_decoder
from search_spaces.skeletons import published as published
from search_spaces.skeletons import recurrent as recurrent
from search_spaces.skeletons import upscalers as upscalers
from search_spaces.skeletons.registry import CENTRE, SKELETONS, lower, skeleton

__all__ = ["CENTRE", "SKELETONS", "lower", "skeleton"]
