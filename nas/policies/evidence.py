"""From a study's trials to what policies are told."""

from __future__ import annotations

from collections.abc import Iterable

from optuna.trial import FrozenTrial, Trial, TrialState

from nas.policies.base import Known

GRAPH, LATENCY = "graph", "latency_ms"
"""User attributes: the canonical hash of what a trial proposes, how fast it was if rejected."""
DRAWN = "drawn"
"""User attribute: what a sampler drew at once, for a trial that is interrupted in between."""


def name_of(trial: Trial | FrozenTrial) -> str:
    """The candidate's name."""
    return f"trial-{trial.number:05d}"


class Evidence:
    """What is known of a study's proposals; those that are finished are read once."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._finished: dict[int, Known] = {}

    def known(self, trials: Iterable[FrozenTrial], *, number: int) -> list[Known]:
        """Every other proposal that has become a network; repeats and failures have not."""
        found = []
        for frozen in trials:
            if frozen.number == number or GRAPH not in frozen.user_attrs:
                continue
            if frozen.state == TrialState.RUNNING:
                found.append(_known(frozen))
            elif frozen.state in (TrialState.COMPLETE, TrialState.PRUNED):
                if frozen.number not in self._finished:
                    self._finished[frozen.number] = _known(frozen)
                found.append(self._finished[frozen.number])
        return found


def _known(frozen: FrozenTrial) -> Known:
    quality, latency_ms = None, frozen.user_attrs.get(LATENCY)
    if frozen.state == TrialState.COMPLETE:
        quality, latency_ms = frozen.values
    return Known(
        name_of(frozen),
        frozen.params,
        quality,
        latency_ms,
        pending=frozen.state == TrialState.RUNNING,
        graph=frozen.user_attrs[GRAPH],
    )
