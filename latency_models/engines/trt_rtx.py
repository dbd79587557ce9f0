"""TensorRT for RTX: builds on any machine, without a GPU; finishes its kernels on the card.

It shares all of the TensorRT engine's code. It runs on GeForce and RTX PRO cards from Turing on
(compute capability 7.5, 8.x, 12.x) and on no data-centre card of another kind: 9.0 (Hopper) and
10.x are refused by its builder (1.7.1: "Compute capability is invalid or not supported").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from latency_models.base import Plan, Precision
from latency_models.engines.trt import TensorRTEngine
from latency_models.engines.trt_cache import CacheFile
from latency_models.engines.trt_library import LIBRARIES, Library
from latency_models.engines.trt_run import Launch

CARDS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
"""Kinds of cards that it builds for, as NVIDIA numbers them."""
_OLDEST_PORTABLE = 80
_DATA_CENTRE = (9, 10, 11)
"""Major compute capabilities that it has no kernels for."""
PORTABLE = "portable"


class TensorRTRTXEngine(TensorRTEngine):
    """Compiles ahead of time and launches through a CUDA graph.

    The precision is not read back with the inspector unless that is asked for: networks are
    strongly typed, and what the inspector of this library shows was never seen.
    """

    name = "tensorrt_rtx"
    member: ClassVar[Library] = LIBRARIES["tensorrt_rtx"]

    def __init__(
        self,
        *,
        compute_capability: str | Sequence[str] = PORTABLE,
        max_aux_streams: int | None = None,
        tf32: bool = True,
        launch: Launch = "graph",
        verify_precision: bool = False,
        device_index: int = 0,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Keep the options; nothing is imported or opened yet.

        Args:
            compute_capability: kinds of cards that plans are for, of `CARDS`; or `portable`, one
                plan for Ampere and all newer cards.
            max_aux_streams: streams for parallel branches; None is the library's choice.
            tf32: fp32 convolutions may use TF32.
            launch: "graph" or "enqueue", as of TensorRT.
            verify_precision: see above.
            device_index: which of the visible GPUs.
            cache_dir: where compiled kernels are kept; default is the user's cache folder.

        Raises:
            ValueError: there is no such kind of card.
        """
        super().__init__(
            max_aux_streams=max_aux_streams,
            tf32=tf32,
            launch=launch,
            verify_precision=verify_precision,
            device_index=device_index,
            cache_dir=cache_dir,
        )
        kinds = kinds_of_cards(compute_capability)
        self.options = replace(self.options, compute_capability=kinds)

    def available(self) -> str | None:
        """None when the library and a card that it runs on are here, else what is missing."""
        if (reason := self.why_no_library()) is not None:
            return reason
        if (reason := self.why_no_gpu()) is not None:
            return f"compiles here, can't time: {reason}"
        return self._why_not_this_card()

    def builds(self) -> str | None:
        """None when it can build here, which takes no GPU."""
        return self.why_no_library()

    def build(self, onnx: bytes, precision: Precision) -> Plan:
        """Build one file without loading it.

        Raises:
            CompileError: the file is not at this precision, or the parser or builder refuses it.
            EngineUnavailable: the library is missing.
        """
        self.require(self.builds())
        return self.source_of(onnx, precision).build(detailed=False)

    def why_not_kind(self, kind: str, card: str) -> str | None:
        """Why its plans are not for this kind of card; None when they are.

        Args:
            kind: as in `CARDS`.
            card: how the card is called.
        """
        kinds = self.options.compute_capability
        if kinds and kind not in kinds:
            return (
                f"plans are for {' '.join(kinds)}, and {card} is {kind}: add it to "
                f"compute_capability, or use {PORTABLE}"
            )
        if not kinds and int(kind.removeprefix("sm")) < _OLDEST_PORTABLE:
            return (
                f"a portable plan runs from sm{_OLDEST_PORTABLE} on, and {card} is {kind}: name "
                "it in compute_capability"
            )
        return None

    def timing_cache(self) -> None:
        """None: no kernel is timed while it builds."""
        return None

    def runtime_cache(self) -> CacheFile:
        """Where the kernels of this card are kept."""
        return self._cache_file("runtime")

    def _why_not_this_card(self) -> str | None:
        import torch

        major, minor = torch.cuda.get_device_capability(self.device_index)
        name = torch.cuda.get_device_name(self.device_index)
        here = f"sm{major}{minor}"
        if major in _DATA_CENTRE or major < 7 or here == "sm70":
            return (
                f"{self.member.title} does not run on {name} (compute capability "
                f"{major}.{minor}): it has 7.5, 8.x and 12.x; use engine tensorrt there"
            )
        return self.why_not_kind(here, name)


def kinds_of_cards(asked: str | Sequence[str]) -> tuple[str, ...]:
    """The kinds that a plan is built for, in one order; none for a portable plan.

    Raises:
        ValueError: there is no such kind.
    """
    kinds = (asked,) if isinstance(asked, str) else tuple(asked)
    if kinds == (PORTABLE,):
        return ()
    unknown = [kind for kind in kinds if kind not in CARDS]
    if unknown or not kinds:
        word = f"'{unknown[0]}'" if unknown else "empty"
        raise ValueError(
            f"compute_capability is {word}: use {PORTABLE}, or a list of {', '.join(CARDS)} (sm86 "
            "is a GeForce RTX 30, sm89 an RTX 40, sm120 an RTX 50)"
        )
    return tuple(kind for kind in CARDS if kind in kinds)
