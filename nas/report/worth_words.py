"""What a search was worth, in sentences that are computed and not embellished."""

from __future__ import annotations

from nas.report.describe import compared, digits_of, figure, milliseconds
from nas.report.proposals import LIMITS
from nas.report.worth import (
    FEWEST_OF_A_KIND,
    FEWEST_PROPOSALS,
    InFull,
    Rise,
    Training,
    Worth,
)
from trainers.base import Metric

_SURE = 0.05


def worth_lines(worth: Worth, metric: Metric) -> list[str]:
    """A few sentences: where winners come from, what guidance and more proposals bring."""
    lines = []
    if worth.unguided is None:
        if worth.proposals:
            lines.append("Where each proposal came from was not kept when this study was made.")
    else:
        lines.append(_descent(worth))
        lines.append(_guidance(worth, metric))
        if worth.in_full is not None:
            lines.append(_in_full(worth.in_full, metric))
    lines.append(_rise(worth, metric))
    return [line for line in lines if line]


def _descent(worth: Worth) -> str:
    descent = worth.descent
    if descent is None:
        return ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in descent.origins)
    return (
        f"Of {_count(descent.winners, 'winner')} {_is(descent.starts, 'starting point')} of the "
        f"space and {_is(descent.near)} one change away from one (proposed by: {kinds})."
    )


def _guidance(worth: Worth, metric: Metric) -> str:
    unguided, found = worth.unguided or 0, worth.guidance
    guided = worth.proposals - unguided
    if not guided:
        return "All proposals were starting points or random: the search was not guided."
    if found is None:
        return (
            f"{guided} guided proposals and {unguided} unguided ones are too few to tell what "
            f"guidance brings: it takes {FEWEST_OF_A_KIND} of each."
        )
    side = "better" if found.lift >= 0 else "worse"
    share = f"{100 * found.chance:.{0 if found.chance >= 0.01 else 1}f} % of shuffles"
    return (
        f"The best of {found.count} guided proposals has {figure(metric, found.guided_best)} on "
        f"average, of {found.count} unguided ones {figure(metric, found.unguided_best)}; over all "
        f"limits the guided are {figure(metric, abs(found.lift))} {side}, "
        f"{'beyond' if found.chance <= _SURE else 'within'} chance (as much in {share})."
    )


def _in_full(in_full: InFull, metric: Metric) -> str:
    if in_full.best is None:
        told = (
            f"Trained in full, the best of {in_full.finalists} is one of the "
            f"{in_full.unguided} unguided"
        )
    else:
        other = f"the best of the {in_full.unguided} unguided"
        told = (
            f"Trained in full, the best of {in_full.finalists} is "
            f"{compared(metric, in_full.best, other=other)}"
        )
    if not _shows(metric, in_full.lift):
        return f"{told}."
    return f"{told}; over all limits the guided raise the front by {figure(metric, in_full.lift)}."


def _rise(worth: Worth, metric: Metric) -> str:
    rise, limit = worth.rise, milliseconds(worth.limit_ms)
    if rise is None:
        if not 0 < worth.proposals < FEWEST_PROPOSALS:
            return ""
        return (
            f"{_count(worth.proposals, 'proposal')} are too few to tell whether more would find "
            f"better: it takes {FEWEST_PROPOSALS}."
        )
    if rise.best is not None:
        against = compared(metric, rise.best, other=f"the best of the first {rise.since - 1}")
        found = (
            f"The best within {limit} came as proposal {rise.best_at} of {rise.proposals}, "
            f"{against}"
        )
        if rise.best.side == "better" and _shows(metric, rise.best.mean):
            return (
                f"{found}: more proposals (study.candidates) may well find better; "
                f"{round(1.5 * rise.proposals)} would likely bring as much again or less."
            )
    else:
        found = (
            f"Nothing better within {limit} came in the last {rise.proposals - rise.best_at} of "
            f"{rise.proposals} proposals"
        )
    raised = "did not raise the front"
    if _shows(metric, rise.lift):
        raised = f"raised the front by {figure(metric, rise.lift)}"
    return f"{found}; the last third {raised}. {_instead(rise, worth.training, metric)}"


def _instead(rise: Rise, training: Training | None, metric: Metric) -> str:
    """What more time is likely better spent on, as far as both are known."""
    if training is None or training.gained <= 0:
        return "More proposals would likely bring little."
    doubling = training.gained / training.doublings
    brought = f"each doubling of the training brought {figure(metric, doubling)}"
    if doubling > max(rise.lift, 0.0):
        return f"A longer training (budget.max_steps) is likely worth more: {brought}."
    return f"{brought[0].upper()}{brought[1:]}."


def _shows(metric: Metric, value: float) -> bool:
    """Whether a value is more than nothing at the decimals that it is told with."""
    return round(value, digits_of(metric)) > 0


def _is(number: int, what: str = "") -> str:
    """`1 is a starting point`, `2 are starting points`; without a noun `1 is`, `2 are`."""
    count = str(number) if number else "none"
    if not what:
        return f"{count} {'is' if number < 2 else 'are'}"
    return f"{count} is a {what}" if number < 2 else f"{count} are {what}s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def terms(worth: Worth) -> str:
    """What the words of the sentences mean, as far as they stand there."""
    words = f"Proposals are compared by {worth.by}, which all that were fast enough have."
    if worth.unguided is not None:
        words += (
            " Unguided are the space's starting points and random proposals; guided are those "
            "that followed from what was known by then."
        )
    if worth.guidance is not None:
        words += (
            f" Over all limits means: the best network within each of {LIMITS} limits up to "
            f"{milliseconds(worth.limit_ms)}, on average. A shuffle deals out anew which "
            "proposals were guided."
        )
    return words
