"""Published networks, written as architectures: what a search must beat."""

from search_spaces.references import classifiers as classifiers  # these register theirs
from search_spaces.references import denoisers as denoisers
from search_spaces.references import mobile_upscalers as mobile_upscalers
from search_spaces.references import upscalers as upscalers
from search_spaces.references import wired_upscalers as wired_upscalers
from search_spaces.references.registry import (
    ALIASES,
    REFERENCES,
    Printed,
    Reference,
    fitting_reference,
    reference,
    reference_named,
)

__all__ = [
    "ALIASES", "REFERENCES", "Printed", "Reference", "fitting_reference", "reference",
    "reference_named",
]
