"""Where a network will run, and what of several such targets cannot be at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isinf
from typing import Any

from latency_models.base import Precision
from latency_models.cards import CARDS
from nas.evidence import MAIN
from runtime.pictures import IO, IO_KINDS
from search_spaces.quantize import QuantRules

_RTX = "tensorrt_rtx"
_MOST_PIXELS = 2**16


@dataclass(frozen=True)
class Target:
    """Where the network will run, and how fast it must be there.

    Attributes:
        engine: a name in `latency_models.engines.ENGINES`, `auto`, or `module:Class` of one's own.
        precision: what ships: `int8`, `fp16` or `fp32`.
        height: rows of the input at deployment.
        width: columns of it.
        max_latency_ms: the limit on the median of one inference.
        threads: processor threads the engine may use.
        io: how pictures enter and leave the file that is timed and shipped: `uint8_nhwc`, as
            cameras, decoders and numpy have them, `uint8_nchw`, or `float_nchw` in [0, 1].
        compute_capability: of the engine `tensorrt_rtx`: the kinds of cards that plans are built
            for, as `[sm86, sm89]`, or `portable`.
        card: whose data sheet estimates are made from when nothing is timed, of
            `latency_models.cards`.
    """

    engine: str = "auto"
    precision: Precision = "int8"
    height: int = 360
    width: int = 640
    max_latency_ms: float = 50.0
    threads: int = 1
    io: IO = "uint8_nhwc"
    compute_capability: str | Sequence[str] | None = None
    card: str | None = None

    @property
    def caution(self) -> str:
        """What to know of this precision on this engine; empty for most (docs/tensorrt.md)."""
        if (self.engine, self.precision) != (_RTX, "int8"):
            return ""
        return (
            "int8 on tensorrt_rtx: its convolutions are not fused (each writes fp32, which a "
            "kernel of its own quantizes), so it moves about 1.8 times the bytes of fp16: ship "
            "target.precision=fp16 there, or time both (docs/tensorrt.md)"
        )

    @property
    def engine_settings(self) -> dict[str, Any]:
        """Further settings of its engine, by name."""
        cards = self.compute_capability
        if cards is None:
            return {}
        return {"compute_capability": cards if isinstance(cards, str) else tuple(cards)}

    def __post_init__(self) -> None:
        """Refuse a target that nothing can meet or that is not understood.

        Raises:
            ValueError: a field is out of its range; the message names it.
        """
        if self.precision not in ("int8", "fp16", "fp32"):
            raise ValueError(f"target.precision is '{self.precision}': use int8, fp16 or fp32")
        if self.io not in IO_KINDS:
            raise ValueError(f"target.io is '{self.io}': use {', '.join(IO_KINDS)}")
        if self.compute_capability is not None and self.engine != _RTX:
            raise ValueError(
                f"target.compute_capability is for target.engine={_RTX}, and that is "
                f"'{self.engine}', which compiles for the device at hand: leave it out, or give "
                "target.compute_capability=null where target=rtx sets it"
            )
        if self.card is not None and self.card not in CARDS:
            raise ValueError(f"target.card is '{self.card}': use {', '.join(CARDS)}")
        for name, most in (
            ("height", _MOST_PIXELS), ("width", _MOST_PIXELS), ("max_latency_ms", inf),
            ("threads", inf),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"target.{name} is {value}: it must be a positive number")
            if value > most:
                raise ValueError(f"target.{name} is {value}: it must be at most {most}")


def require_together(targets: Mapping[str, Target]) -> None:
    """Refuse several targets that no network can be held against at once.

    Raises:
        ValueError: says which, and what to change.
    """
    if len(targets) == 1:
        return
    for name, target in targets.items():
        at = "target" if name == MAIN else f"targets.{name}"
        if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
            raise ValueError(f"{at}: call it by letters, digits, '-' and '_', a letter first")
        if isinf(target.max_latency_ms):
            raise ValueError(
                f"{at}.max_latency_ms is inf: of several targets each needs a limit, so give one "
                "that is far away"
            )
        main = targets[MAIN].precision
        if target.precision == "int8" and main != "int8":
            raise ValueError(
                f"{at}.precision is int8, and networks are quantized for `target`, which ships "
                f"{main}: let the int8 one be `target`, or give {at}.precision=fp32 or fp16"
            )


def require_same_rules(targets: Mapping[str, Target], rules: Mapping[str, QuantRules]) -> None:
    """Refuse further int8 targets whose engine wants quantizers elsewhere than the first one's.

    Their files would hold other roundings than those that were fine-tuned and judged.

    Args:
        targets: by name, with the engines that were found.
        rules: of each.

    Raises:
        ValueError: says which, and what to change.
    """
    for name, target in targets.items():
        own = replace(rules[name], io=rules[MAIN].io)
        if target.precision == "int8" and own != rules[MAIN]:
            raise ValueError(
                f"targets.{name} ships int8 on {target.engine}, which wants quantizers at other "
                f"places than {targets[MAIN].engine}, for which networks are quantized and "
                f"judged: give targets.{name}.precision=fp32 or fp16, or search for it alone"
            )
