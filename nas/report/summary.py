"""What a study came to, as plain data: its front beside the baseline and the references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.experiment import Target
from nas.report.describe import describe, gain, milliseconds
from nas.winners import best_within, front
from search_spaces.skeletons import lower
from search_spaces.work import gmacs, params_of
from trainers.base import Metric


@dataclass(frozen=True)
class Funnel:
    """How many proposals came how far; references are not proposals.

    Attributes:
        proposed: different networks that were examined.
        too_slow: over the limit when they were timed untrained.
        failed: refused for another reason: not compiled, diverged, too slow when it was timed
            again or as a shipped file.
        winners: exported, on the limit's good side with the file that ships.
    """

    proposed: int
    too_slow: int
    failed: int
    probed: int
    trained: int
    quantized: int
    winners: int


def is_winner(candidate: Candidate) -> bool:
    """Whether it is a proposal that shipped and kept the limit."""
    exported = candidate.exported is not None and candidate.rejected is None
    return exported and not candidate.is_reference


def was_too_slow(candidate: Candidate) -> bool:
    """Whether it was refused for its latency before any training."""
    rejected = candidate.rejected
    return rejected is not None and rejected.constraint == "latency_ms" and not candidate.probed


def funnel(candidates: Iterable[Candidate]) -> Funnel:
    """Count the proposals by their evidence."""
    proposals = [c for c in candidates if not c.is_reference]
    slow = sum(was_too_slow(c) for c in proposals)
    return Funnel(
        proposed=sum(c.screened is not None or c.rejected is not None for c in proposals),
        too_slow=slow,
        failed=sum(c.rejected is not None for c in proposals) - slow,
        probed=sum(c.probed is not None for c in proposals),
        trained=sum(c.trained is not None for c in proposals),
        quantized=sum(c.quantized is not None for c in proposals),
        winners=sum(is_winner(c) for c in proposals),
    )


@dataclass(frozen=True)
class Row:
    """One line of the final table. What is not known is None.

    Attributes:
        label: a reference's or the baseline's name, or a winner's architecture id.
        name: the candidate's name; empty for the baseline.
        ci_low_ms: lower end of the 95 % interval of the latency.
        gain: how much better the metric is than the baseline's.
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
    gain: float | None = None
    params: int | None = None
    gmacs: float | None = None
    speed_up: float | None = None
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
    advantage: float | None


@dataclass(frozen=True)
class Summary:
    """The end of a study.

    Attributes:
        winners: fastest first.
        comparisons: one for each reference with a latency and a metric.
        advice: what to do when there is no winner, else None.
    """

    target: Target
    metric: Metric
    baseline: Row
    winners: tuple[Row, ...]
    references: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    advice: str | None

    @property
    def best(self) -> Row | None:
        """The winner with the best metric."""
        sign = 1.0 if self.metric.mode == "max" else -1.0
        return max(self.winners, key=lambda row: sign * (row.metric or 0.0), default=None)


def summarize(
    candidates: Sequence[Candidate],
    *,
    target: Target,
    metric: Metric,
    baseline: float,
    baseline_name: str = "bicubic",
) -> Summary:
    """Put a study's end together.

    Args:
        baseline: the metric without any network.
        baseline_name: what gives it.
    """
    winners = front([c for c in candidates if is_winner(c)], metric)
    references = sorted(
        (c for c in candidates if c.is_reference),
        key=lambda c: c.latency_ms if receipt_of(c) else float("inf"),
    )
    rows = {c.name: _row(c, target, metric, baseline) for c in [*winners, *references]}
    comparisons = []
    for reference in references:
        if receipt_of(reference) is None or reference.quality is None:
            continue
        best = best_within(winners, reference.latency_ms, metric)
        advantage = None
        if best is not None and best.quality is not None:
            advantage = gain(metric, best.quality, reference.quality)
        chosen = rows[best.name] if best else None
        comparisons.append(Comparison(rows[reference.name], chosen, advantage))
    return Summary(
        target,
        metric,
        Row("baseline", baseline_name, "no network", metric=baseline, gain=0.0),
        tuple(rows[c.name] for c in winners),
        tuple(rows[c.name] for c in references),
        tuple(comparisons),
        None if winners else _advice(candidates, target),
    )


def receipt_of(candidate: Candidate) -> LatencyReport | None:
    """The receipt that `latency_ms` comes from."""
    return candidate.receipt


def _row(candidate: Candidate, target: Target, metric: Metric, baseline: float) -> Row:
    receipt, exported, quality = receipt_of(candidate), candidate.exported, candidate.quality
    graph = lower(candidate.architecture)
    published = candidate.is_reference
    return Row(
        "reference" if published else "winner",
        candidate.name if published else candidate.architecture.id,
        describe(candidate.architecture),
        name=candidate.name,
        latency_ms=receipt.median_ms if receipt else None,
        ci_low_ms=receipt.ci_low_ms if receipt else None,
        ci_high_ms=receipt.ci_high_ms if receipt else None,
        metric=quality,
        gain=None if quality is None else gain(metric, quality, baseline),
        params=params_of(graph),
        gmacs=gmacs(graph, target.height, target.width),
        speed_up=exported.fp32.median_ms / exported.shipped.median_ms if exported else None,
        doubt=_doubt(candidate, receipt),
    )


def _doubt(candidate: Candidate, receipt: LatencyReport | None) -> str | None:
    """The reason why a line must not be compared like the others, or None."""
    reasons = []
    if candidate.rejected:
        reasons.append(candidate.rejected.reason)
    if receipt is not None and receipt.verdict != "ok":
        reasons.append(f"latency {receipt.verdict}")
    if receipt is not None and receipt.estimated:
        reasons.append("latency estimated")
    if candidate.quality is None:
        reasons.append("not trained")
    elif candidate.quantized is None:
        reasons.append("metric before quantization")
    return "; ".join(reasons) or None


def _advice(candidates: Sequence[Candidate], target: Target) -> str:
    """Say why nothing was found and what to change."""
    counts = funnel(candidates)
    limit = milliseconds(target.max_latency_ms)
    timed = [c.latency_ms for c in candidates if receipt_of(c) and not c.is_reference]
    if not counts.proposed:
        return "No network was examined. Give the search more time (study.max_minutes)."
    if counts.too_slow and counts.too_slow + counts.failed == counts.proposed and timed:
        return (
            f"None of {counts.proposed} networks ran within {limit}; the fastest took "
            f"{milliseconds(min(timed))}. Raise target.max_latency_ms, make the input smaller "
            "(target.height, target.width), or search narrower networks."
        )
    if counts.failed == counts.proposed:
        reasons = [c.rejected.reason for c in candidates if c.rejected and not c.is_reference]
        return (
            f"All {counts.proposed} networks failed, the last one with: {reasons[-1]} "
            "Check the engine on a small network before searching again."
        )
    return (
        "Some networks are fast enough, but none went through every stage yet. Run the study "
        "again: it goes on where it stopped."
    )
