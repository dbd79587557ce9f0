"""What a study came to, as plain data: its front beside the baseline and the references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.confidence import FEWEST_PICTURES, Gain, Judged, Scored, gain_over
from nas.evidence import EXPORTED, MAIN, QUANTIZED
from nas.report.describe import describe, milliseconds, pictures
from nas.report.funnel import funnel, is_simulated, is_winner
from nas.target import Target
from nas.winners import best_within, dominates, front
from search_spaces.skeletons import lower
from search_spaces.work import gmacs, params_of
from trainers.base import Metric


@dataclass(frozen=True)
class Row:
    """One line of the final table. What is not known is None.

    Attributes:
        label: a reference's or the baseline's name, or a winner's architecture id.
        name: the candidate's name; empty for the baseline.
        ci_low_ms: lower end of the 95 % interval of the latency.
        pictures: on how many the metric was judged; 0 where that was not kept.
        gain: how much better the metric is than the baseline's.
        elsewhere: receipts of the further targets, by name.
        step: of a winner, how much better it is than the next faster one on the front.
        behind: of a winner that is not on the front, one that is as fast and as good.
        outlook: the metric that a long training is expected to give; None where that is not told.
        speed_up: fp32 latency over latency at the precision that ships, both measured.
        doubt: why the line is not to be read like the others; None when there is no reason.
    """

    kind: Literal["baseline", "winner", "reference"]
    label: str
    description: str
    name: str = ""
    latency_ms: float | None = None
    ci_low_ms: float | None = None
    ci_high_ms: float | None = None
    metric: float | None = None
    pictures: int = 0
    gain: Gain | None = None
    step: Gain | None = None
    outlook: float | None = None
    behind: str = ""
    params: int | None = None
    gmacs: float | None = None
    speed_up: float | None = None
    elsewhere: Mapping[str, LatencyReport] = field(default_factory=dict)
    doubt: str | None = None

    @property
    def images_per_s(self) -> float | None:
        """Inferences per second, one after the other."""
        return None if self.latency_ms is None else 1000.0 / self.latency_ms


@dataclass(frozen=True)
class Comparison:
    """The best winner that is not slower than a reference, beside it.

    Attributes:
        best: None when no winner is as fast.
        advantage: how much better the winner's metric is; None with `best`.
    """

    reference: Row
    best: Row | None
    advantage: Gain | None


@dataclass(frozen=True)
class Summary:
    """The end of a study.

    Attributes:
        winners: one for every bundle, fastest first. Shipped files are timed anew, so one that
            was ahead of the others before may be behind them now.
        comparisons: one for each reference with a latency and a metric.
        further: targets beside the first one, by name, whose limits are kept too.
        within: for each limit of the plan, in ms, the best winner under it, or None.
        advice: what to do when there is no winner, else None.
        simulated: whether a table answered in place of the machine.
        horizon: steps of the long training that outlooks are of; None where there are none.
    """

    target: Target
    metric: Metric
    baseline: Row
    winners: tuple[Row, ...]
    references: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    advice: str | None
    simulated: bool = False
    horizon: int | None = None
    further: Mapping[str, Target] = field(default_factory=dict)
    within: tuple[tuple[float, Row | None], ...] = ()

    @property
    def best(self) -> Row | None:
        """The winner with the best metric, after the long training where that is told."""
        sign = 1.0 if self.metric.mode == "max" else -1.0

        def worth(row: Row) -> float:
            return sign * ((row.metric or 0.0) if row.outlook is None else row.outlook)

        return max(self.winners, key=worth, default=None)

    @property
    def outlook_words(self) -> str:
        """What a line's outlook is; empty where there is none."""
        if self.horizon is None:
            return ""
        return (
            f"outlook: {self.metric.name} expected after {self.horizon:,} steps on many pictures; "
            "winners are chosen by it"
        )

    @property
    def front(self) -> tuple[Row, ...]:
        """The winners that no other one is ahead of."""
        return tuple(row for row in self.winners if not row.behind)

    @property
    def judged_on(self) -> str:
        """On how many pictures the table's figures were judged, in words."""
        rows = (self.baseline, *self.winners, *self.references)
        return pictures(row.pictures for row in rows)

    @property
    def unsure(self) -> str:
        """Why comparisons are told without an interval; empty where none is."""
        gains = [row.gain for row in self.winners] + [c.advantage for c in self.comparisons]
        bare = [gain for gain in gains if gain is not None and gain.low is None]
        if not bare:
            return ""
        most = max(gain.pictures for gain in bare)
        if most:
            return f"no interval: it takes {FEWEST_PICTURES} pictures, and there were {most}"
        return "no interval: the metric of each sample was not kept, or is none without a network"


def summarize(
    candidates: Sequence[Candidate],
    *,
    target: Target,
    metric: Metric,
    baseline: float,
    baseline_name: str = "bicubic",
    baseline_scores: Sequence[float] = (),
    horizon: int | None = None,
    further: Mapping[str, Target] | None = None,
    limits_ms: Sequence[float] = (),
) -> Summary:
    """Put a study's end together.

    Args:
        target: the first one, or the only one.
        baseline: the metric without any network.
        baseline_name: what gives it.
        baseline_scores: that of each picture.
        horizon: steps of the training that outlooks are of.
        further: targets beside the first one, by name.
        limits_ms: for each of which the best winner is told.
    """
    further = further or {}
    unaided = Scored(baseline, tuple(baseline_scores))
    simulated = any(is_simulated(c) for c in candidates)
    kept = list(filter(is_winner, candidates))
    ahead = front(kept, metric)
    # Nothing is exported in a simulation: its winners are its front.
    winners = ahead if simulated else sorted(kept, key=lambda c: c.latency_ms)
    references = sorted(
        (c for c in candidates if not c.is_proposal),
        key=lambda c: c.latency_ms if c.receipt else float("inf"),
    )
    rows = {c.name: _row(c, target, metric, unaided) for c in [*winners, *references]}
    for faster, slower in pairwise(ahead):
        step = _between(metric, slower.judged, faster.judged)
        rows[slower.name] = replace(rows[slower.name], step=step)
    for c in winners:
        if beaten := [one for one in ahead if dominates(one, c, metric)]:
            rows[c.name] = replace(rows[c.name], behind=rows[beaten[-1].name].label)
    nothing = Row(
        "baseline", baseline_name, "no network", metric=baseline, pictures=len(unaided.scores)
    )
    return Summary(
        target,
        metric,
        nothing,
        tuple(rows[c.name] for c in winners),
        tuple(rows[c.name] for c in references),
        tuple(_comparisons(references, winners, rows, metric)),
        None if winners else _advice(candidates, target, further),
        simulated=simulated,
        horizon=horizon if any(row.outlook is not None for row in rows.values()) else None,
        further=further,
        within=tuple(
            (limit_ms, None if best is None else rows[best.name])
            for limit_ms in sorted(set(limits_ms))
            for best in [best_within(winners, limit_ms, metric)]
        ),
    )


def _comparisons(
    references: Sequence[Candidate],
    winners: Sequence[Candidate],
    rows: Mapping[str, Row],
    metric: Metric,
) -> Iterator[Comparison]:
    """Each reference with a latency and a metric beside the best winner that is not slower."""
    for reference in references:
        if reference.receipt is None or reference.quality is None:
            continue
        best = best_within(winners, reference.latency_ms, metric)
        advantage = _between(metric, best.judged, reference.judged) if best else None
        chosen = rows[best.name] if best else None
        yield Comparison(rows[reference.name], chosen, advantage)


def _between(metric: Metric, one: Judged | None, other: Judged | None) -> Gain | None:
    return None if one is None or other is None else gain_over(metric, one, other)


def _row(candidate: Candidate, target: Target, metric: Metric, baseline: Judged) -> Row:
    receipt, exported, judged = candidate.receipt, candidate.get(EXPORTED), candidate.judged
    graph = lower(candidate.architecture)
    published = not candidate.is_proposal
    return Row(
        "reference" if published else "winner",
        candidate.name if published else candidate.architecture.id,
        describe(candidate.architecture),
        name=candidate.name,
        latency_ms=receipt.median_ms if receipt else None,
        ci_low_ms=receipt.ci_low_ms if receipt else None,
        ci_high_ms=receipt.ci_high_ms if receipt else None,
        metric=candidate.quality,
        pictures=candidate.pictures,
        gain=_between(metric, judged, baseline),
        outlook=None if candidate.outlook is None else candidate.standing,
        params=params_of(graph),
        gmacs=gmacs(graph, target.height, target.width),
        speed_up=exported.fp32.median_ms / exported.shipped.median_ms if exported else None,
        elsewhere={name: r for name, r in candidate.receipts.items() if name != MAIN},
        doubt=_doubt(candidate),
    )


def _doubt(candidate: Candidate) -> str | None:
    """The reason why a line must not be compared like the others, or None."""
    reasons = []
    if candidate.rejected:
        reasons.append(candidate.rejected.reason)
    for target, receipt in candidate.receipts.items():
        on = f" on {target}" if candidate.limits_ms else ""
        if receipt.verdict != "ok":
            reasons.append(f"latency {receipt.verdict}{on}")
        if receipt.estimated:
            reasons.append(f"latency estimated{on}")
    if candidate.quality is None:
        reasons.append("not trained")
    elif not candidate.has(QUANTIZED):
        reasons.append("metric before quantization")
    return "; ".join(reasons) or None


def _advice(
    candidates: Sequence[Candidate], target: Target, further: Mapping[str, Target]
) -> str:
    """Say why nothing was found and what to change."""
    counts = funnel(candidates)
    limit = milliseconds(target.max_latency_ms)
    timed = [c.latency_ms for c in candidates if c.receipt and c.is_proposal]
    if not counts.proposed:
        return "No network was examined. Give the search more time (study.max_minutes)."
    if further and counts.too_slow and counts.too_slow + counts.failed == counts.proposed:
        limits = (f"{milliseconds(t.max_latency_ms)} on {n}" for n, t in further.items())
        return (
            f"None of {counts.proposed} networks ran within {limit} on {MAIN} and "
            f"{' and '.join(limits)}. Raise a limit, make that target's input "
            "smaller, or search narrower networks."
        )
    if counts.too_slow and counts.too_slow + counts.failed == counts.proposed and timed:
        return (
            f"None of {counts.proposed} networks ran within {limit}; the fastest took "
            f"{milliseconds(min(timed))}. Raise target.max_latency_ms, make the input smaller "
            "(target.height, target.width), or search narrower networks."
        )
    if counts.failed == counts.proposed:
        reasons = [c.rejected.reason for c in candidates if c.rejected and c.is_proposal]
        return (
            f"All {counts.proposed} networks failed, the last one with: {reasons[-1]} "
            "Check the engine on a small network before searching again."
        )
    return (
        "Some networks are fast enough, but none went through every stage yet. Run the study "
        "again: it goes on where it stopped."
    )
