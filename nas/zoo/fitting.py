"""Which network of the zoo fits what is to be run: the best one that keeps up on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nas.play.base import Unplayable
from nas.play.places import Pictures, Video
from nas.play.video import opened
from nas.zoo.entries import Entry, entries
from runtime.bundle import Loaded

_WARMUP, _ROUNDS = 2, 7
SHARE = 0.9
"""Of the time between two frames that the network may take: single frames take longer."""
Load = Callable[[Path], Loaded]


def fitting(job: Pictures | Video, load: Load) -> tuple[Loaded, str]:
    """The network to run, and why in one line.

    Nobody waits for a picture, so it gets the best one. A video gets the best one that makes a
    frame of its size before the next one is due, timed here by some frames; where none does, the
    fastest.

    Args:
        load: a bundle's folder with the precision, engine and threads that were asked for.

    Raises:
        Unplayable: the video cannot be read.
    """
    found = entries()
    if not found:
        raise Unplayable("the zoo is empty here: name a winner's folder (nas run --help)")
    if isinstance(job, Pictures):
        best = found[0]
        return load(best.folder), f"{best.name}, the best of the zoo ({_gain(best)})"
    with opened(job.source, threads=1) as source:
        facts = source.facts
    return among(found, (facts.height, facts.width), 1000 / float(facts.rate), load)


def among(
    found: Sequence[Entry], size: tuple[int, int], frame_ms: float, load: Load
) -> tuple[Loaded, str]:
    """The first that keeps up; where none does, the fastest.

    Args:
        found: the best first.
        size: height and width of a frame.
        frame_ms: between two of them.
    """
    timed = []
    for entry in found:
        network = load(entry.folder)
        took_ms = _took_ms(network, size)
        timed.append((took_ms, entry, network))
        if took_ms <= SHARE * frame_ms:
            break
    took_ms, entry, network = timed[-1]
    why = "the best of the zoo" if len(timed) == 1 else "the best of the zoo that keeps up"
    if took_ms > SHARE * frame_ms:
        took_ms, entry, network = min(timed, key=lambda one: one[0])
        why = "the fastest of the zoo: none keeps up"
    height, width = size
    return network, (
        f"{entry.name}, {why} ({_gain(entry)}; {took_ms:.1f} ms for a frame of {width}x{height}, "
        f"{frame_ms:.1f} ms between two)"
    )


def _took_ms(network: Loaded, size: tuple[int, int]) -> float:
    """The median of some frames, in milliseconds."""
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    took = []
    for _ in range(_WARMUP + _ROUNDS):
        began_s = time.perf_counter()
        network(frame)
        took.append(time.perf_counter() - began_s)
    return float(np.median(took[_WARMUP:])) * 1e3


def _gain(entry: Entry) -> str:
    return f"x{entry.scale}, {entry.gain_db():+.1f} dB over bicubic"
