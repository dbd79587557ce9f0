"""Skeletons that only published networks need: nothing is searched in them."""

from search_spaces.skeletons.published import attention as attention  # these register theirs
from search_spaces.skeletons.published import classifiers as classifiers
from search_spaces.skeletons.published import denoisers as denoisers
from search_spaces.skeletons.published import upscalers as upscalers
from search_spaces.skeletons.registry import SKELETONS

PUBLISHED_ONLY = frozenset(
    name for name, make in SKELETONS.items() if make.__module__.startswith(__name__)
)
"""Names of these skeletons. Their networks are whole as they stand in `references`."""
