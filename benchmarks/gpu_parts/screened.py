"""Candidates screened per second: proposed, written, compiled by inductor and timed.

Proposals are drawn from the default space and screened by the protocol of a search, with a limit
that all of them keep, so that each is measured until it has a rank: the dearer case. With several
workers the compiling runs at once and the timing in turns. The time counts from when every worker
has screened its first candidate.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Barrier, BrokenBarrierError

from gpu_parts.base import Form, Pace, Row, Tell, left_out, one_line
from gpu_parts.timing import here, inductor, isolated, measured
from latency_models.base import CompileError, DeviceError, Precision
from latency_models.engines.inductor import InductorEngine
from latency_models.isolated import IsolatedLatency
from nas.receipts import SCREENING
from search_spaces.draws import draw
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.untrained import untrained

PART = "screened"
_KEPT_MS = 10_000.0


@dataclass(frozen=True)
class Screened:
    """One candidate.

    Attributes:
        build_s: what compiling took, without the engine's start.
        refused: the engine's words, where it refused.
    """

    seconds: float
    build_s: float = 0.0
    refused: str = ""


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """One worker first, then several, each for its share of the time."""
    engine = inductor(form)
    here(engine)
    for place, workers in enumerate(form.workers):
        what = f"{workers} worker{'s' * (workers > 1)}, {form.precisions[0]}"
        share_s = pace.left_s / (len(form.workers) - place)
        if share_s < 1:
            tell(left_out(PART, [what]))
            continue
        try:
            row = _row(what, *_screened(engine, form, workers, share_s))
        except (DeviceError, BrokenBarrierError) as error:
            row = Row(PART, what, "failed", words=one_line(error))
        tell(row)


def _row(what: str, found: list[Screened], seconds: float) -> Row:
    good = [one for one in found if not one.refused]
    refusals = [one.refused for one in found if one.refused]
    if not good:
        words = refusals[0] if refusals else "no candidate was through in time"
        return Row(PART, what, "refused" if refusals else "skipped", words=words)
    words = (
        f"{len(good)} candidates in {seconds:.1f} s; {_median(o.seconds for o in good):.2f} s "
        f"each in the median, {_median(o.build_s for o in good):.2f} s of it compiling"
    )
    if refusals:
        words += f"; {len(refusals)} refused: {refusals[0]}"
    facts = {"seconds": [one.seconds for one in good], "refusals": refusals}
    return Row(PART, what, "measured", len(good) / seconds, "candidates/s", words, facts)


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)


def _screened(
    engine: InductorEngine, form: Form, workers: int, seconds: float
) -> tuple[list[Screened], float]:
    """What so many workers screened, and in how many seconds.

    Raises:
        DeviceError: the machine failed one of them.
        BrokenBarrierError: a worker had no candidate through while the time lasted.
    """
    pace, begun, seeds = Pace(seconds), Barrier(workers), itertools.count()
    marks: list[float] = []

    def work(latency: IsolatedLatency) -> list[Screened]:
        try:
            _one(next(seeds), latency, engine, form, pace)
        except BaseException:
            begun.abort()
            raise
        begun.wait(timeout=max(1.0, pace.left_s))
        marks.append(time.monotonic())
        found, own = [], Pace(min(form.screen_s, pace.left_s))
        while own.allows():
            with own.turn():
                one = _one(next(seeds), latency, engine, form, pace)
            if pace.left_s > 0:  # else it may be the time that refused it
                found.append(one)
                marks.append(time.monotonic())
        return found

    with ExitStack() as stack:
        latencies = [stack.enter_context(isolated(engine, SCREENING)) for _ in range(workers)]
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        jobs = [pool.submit(work, latency) for latency in latencies]
        errors = [error for job in jobs if (error := job.exception())]
        if errors:
            # Those who waited for the one that failed have a broken barrier only.
            raise next((e for e in errors if not isinstance(e, BrokenBarrierError)), errors[0])
    return [one for job in jobs for one in job.result()], max(marks) - min(marks)


def _one(
    seed: int, latency: IsolatedLatency, engine: InductorEngine, form: Form, pace: Pace
) -> Screened:
    """Propose, write, compile and time one candidate."""
    began = time.monotonic()
    precision: Precision = form.precisions[0]
    height, width = form.sizes[0]
    graph = lower(draw(SuperResolutionSpace(), seed=seed).architecture)
    file = untrained(graph, precision=precision, height=height, width=width)
    try:
        report = measured(latency, file, precision, pace, limit_ms=_KEPT_MS)
    except CompileError as error:
        return Screened(time.monotonic() - began, refused=one_line(str(error)))
    return Screened(time.monotonic() - began, report.build_s)
