"""The stages of the corridor, a file each, in the order in which a candidate goes through them."""

from __future__ import annotations

from collections.abc import Sequence

from nas.experiment import Stage
from nas.stages.compile import COMPILE
from nas.stages.export import EXPORT
from nas.stages.probe import PROBE
from nas.stages.quantize import QUANTIZE
from nas.stages.screen import SCREEN
from nas.stages.settle import SETTLE
from nas.stages.train import TRAIN

STAGES: tuple[Stage, ...] = (SCREEN, PROBE, SETTLE, TRAIN, QUANTIZE, EXPORT)
COMPILING: tuple[Stage, ...] = (COMPILE,)


def corridor(*, compiles: bool = False) -> Sequence[Stage]:
    """The stages of a search, or of one that only compiles."""
    return COMPILING if compiles else STAGES
