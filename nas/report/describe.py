"""Architectures, figures and durations in words, as short as they can be read."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from nas.confidence import Gain
from search_spaces.base import Architecture, BlockSpec
from trainers.base import Metric

if TYPE_CHECKING:
    from nas.candidate import Candidate
    from nas.target import Target

_LARGEST = 1e12
_APART = 1e-9
"""Two values nearer than this, relative to them, are drawn as one."""


def describe(architecture: Architecture) -> str:
    """One line such as `strided, 3x conv 32 k3, bicubic base`."""
    parts = []
    reduction = str(architecture.arg("reduction", "none"))
    if reduction != "none":
        parts.append(reduction.replace("_", " "))
    used = {str(b.arg("activation", "relu")) for b in architecture.blocks}
    for spec, group in groupby(architecture.blocks, key=_without_repeat):
        repeat = sum(b.repeat for b in group)
        parts.append(_block(spec, repeat, name_activation=len(used) > 1))
    if len(used) == 1 and used != {"relu"}:
        parts.append(used.pop())
    if architecture.arg("skip", False):
        parts.append("skip")
    base = str(architecture.arg("base", "none"))
    if base != "none":
        parts.append(f"{base} base")
    if architecture.skeleton == "transposed_upscaler":
        parts.append(f"transposed head k{architecture.arg('head_kernel', 9)}")
    return ", ".join(parts)


def _without_repeat(spec: BlockSpec) -> BlockSpec:
    """What two entries must share to be read as one; defaults are written out for that."""
    args = {"kernel": 3, "activation": "relu", **dict(spec.args)}
    return BlockSpec(spec.op, spec.channels, 1, tuple(sorted(args.items())))


def _block(spec: BlockSpec, repeat: int, *, name_activation: bool) -> str:
    times = f"{repeat}x " if repeat > 1 else ""
    activation = f" {spec.arg('activation', 'relu')}" if name_activation else ""
    return f"{times}{spec.op} {spec.channels} k{spec.arg('kernel', 3)}{activation}"


def digits_of(metric: Metric) -> int:
    """Decimals that a value of the metric is told with: two for decibels, four otherwise."""
    return 2 if metric.unit == "dB" else 4


def figure(metric: Metric, value: float, *, sign: bool = False) -> str:
    """A value of the metric with its unit."""
    digits = digits_of(metric)
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return f"{text} {metric.unit}".strip()


def drawable(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest value between which a drawing can be made; they may be equal.

    Whatever a task of somebody's own says, a report is written: values that are not finite, or
    beyond all measure, are left out.
    """
    known = [value for value in values if abs(value) < _LARGEST]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return (low, low) if high - low <= _APART * max(abs(low), abs(high)) else (low, high)


def gain(metric: Metric, value: float, over: float) -> float:
    """How much better `value` is than `over`, whatever the metric's mode; negative if worse."""
    return value - over if metric.mode == "max" else over - value


def pictures(counts: Iterable[int]) -> str:
    """On how many pictures figures were judged; empty where none says so."""
    known = sorted({count for count in counts if count})
    if not known:
        return ""
    return f"{' or '.join(map(str, known))} {'picture' if known == [1] else 'pictures'}"


NO_INTERVAL = "no interval"


def compared(metric: Metric, gain: Gain, *, other: str = "") -> str:
    """A comparison and how sure it is.

    As `0.05 dB better than espcn (0.02 to 0.09)`, `0.03 dB worse (0.01 to 0.06)`,
    `level with espcn (-0.01 to 0.02 dB)` or, where that is not known,
    `0.05 dB better (no interval)`.

    Args:
        other: what it is compared with.
    """
    unit = f" {metric.unit}" if metric.unit else ""
    if gain.side == "level":
        return f"level{f' with {other}' if other else ''} ({interval(metric, gain)}{unit})"
    than = f" than {other}" if other else ""
    amount = f"{abs(gain.mean):.{_enough(metric, gain)}f}{unit}"
    return f"{amount} {gain.side}{than} ({interval(metric, gain)})"


def interval(metric: Metric, gain: Gain) -> str:
    """Both ends of a gain's interval without the unit; of a loss, how much was lost."""
    if gain.low is None or gain.high is None:
        return NO_INTERVAL
    digits = _enough(metric, gain)
    low, high = (gain.low, gain.high) if gain.side != "worse" else (-gain.high, -gain.low)
    return f"{_plain(low, digits)} to {_plain(high, digits)}"


def _plain(value: float, digits: int) -> str:
    """The value, without the minus of a rounded zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def _enough(metric: Metric, gain: Gain) -> int:
    """As many decimals as it takes to tell what is better or worse from nothing."""
    digits = digits_of(metric)
    if gain.side == "level" or gain.mean == 0:
        return digits
    ends = [abs(end) for end in (gain.mean, gain.low, gain.high) if end]
    while digits < digits_of(metric) + 2 and round(min(ends), digits) == 0:
        digits += 1
    return digits


def milliseconds(value_ms: float) -> str:
    """Three digits that mean something, and the unit."""
    digits = 0 if value_ms >= 1000 else 1 if value_ms >= 10 else 2 if value_ms >= 1 else 3
    return f"{value_ms:.{digits}f} ms"


def aim_words(target: Target) -> str:
    """A target in a few words, as `openvino int8, 640x360 in, at most 50.0 ms`."""
    return (
        f"{target.engine} {target.precision}, {target.width}x{target.height} in, "
        f"at most {milliseconds(target.max_latency_ms)}"
    )


def latency_cells(candidate: Candidate) -> dict[str, str]:
    """Its latency for a table: in a column called so, or in one for each of several targets."""
    if not candidate.limits_ms:
        return {"latency": milliseconds(candidate.latency_ms)}
    timed = candidate.receipts
    return {
        name: milliseconds(timed[name].median_ms) if name in timed else ""
        for name in candidate.limits_ms
    }


def command_line(*words: str) -> str:
    """A call of this program as it can be typed into a shell in this folder."""
    return shlex.join([_program(), *words])


def _program() -> str:
    """`nas` where the shell finds it, else the path of the one that was installed with this."""
    beside = Path(sys.executable).with_name("nas")
    if shutil.which("nas") is not None or not beside.is_file():
        return "nas"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def clock_time(seconds: float) -> str:
    """`0:35`, `4:05` or `1:12:09`: what is seen to go on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """`35 s`, `4 min` or `1 h 12 min`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
