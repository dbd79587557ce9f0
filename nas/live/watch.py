"""How far a running search is: what is known of each candidate, and how long it still takes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nas.candidate import Candidate
from nas.events import Event, Finished, Started, Step
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SCREENED, SETTLED, TRAINED, Evidence
from nas.experiment import Plan, Stage
from nas.finalists import CONTENDERS
from nas.report.funnel import Funnel, funnel, was_too_slow
from trainers.budget import Budget

Clock = Callable[[], float]
_QUANTIZING_STEP = 2.0
"""Guess, used until one was seen: a step with fake quantization over one without."""
_TIMINGS = {SETTLED: 2.0, EXPORTED: 2.0}
"""Guesses, used until one was seen, over screening: again and longer; two files."""


@dataclass(frozen=True)
class Now:
    """What is being done.

    Attributes:
        began_s: when, on the watch's clock.
        done: training steps done, of `total`; both 0 where nothing is trained.
    """

    candidate: Candidate
    stage: Stage
    began_s: float
    done: int = 0
    total: int = 0
    loss: float | None = None


class Watch:
    """Follows what a search tells and knows counts, durations and what is left."""

    def __init__(
        self, plan: Plan, budget: Budget | None = None, clock: Clock = time.monotonic
    ) -> None:
        """Start the clock.

        Args:
            budget: lets durations of stages that were not seen yet be guessed from probing.
            clock: seconds from anywhere.
        """
        self._plan, self._budget, self.clock = plan, budget, clock
        self._began_s = clock()
        self._durations_s: dict[Evidence[Any], list[float]] = defaultdict(list)
        self._known: dict[str, Candidate] = {}
        self._search_over = False
        self.current: Now | None = None

    @property
    def candidates(self) -> list[Candidate]:
        """Everything that left a stage, with its newest evidence."""
        return list(self._known.values())

    @property
    def funnel(self) -> Funnel:
        """Counts of the proposals."""
        return funnel(self._known.values())

    @property
    def elapsed_s(self) -> float:
        """Time since this run began."""
        return self.clock() - self._began_s

    def __call__(self, event: Event) -> None:
        """Take note of it; evidence of an earlier run has no duration."""
        now = self.current
        match event:
            case Started(candidate, stage):
                self.current = Now(candidate, stage, self.clock())
                if not candidate.is_proposal or stage.evidence not in (SCREENED, PROBED):
                    self._search_over = True
            case Step(told, done=done, total=total, loss=loss) if now is not None:
                # Of several that are trained at once the one that began is shown.
                if told.name == now.candidate.name:
                    self.current = replace(now, done=done, total=total, loss=loss)
            case Finished(candidate, stage, again):
                if not again and now is not None and now.stage is stage:
                    self._durations_s[stage.evidence].append(self.clock() - now.began_s)
                self._known[candidate.name] = candidate
                self.current = None

    def remaining_s(self) -> float | None:
        """Estimated time to the end of the plan, or None while it cannot be told."""
        left = self._left()
        if left is None:
            return None
        total_s = 0.0
        for evidence, count in left.items():
            each_s = self._each_s(evidence)
            if count > 0 and each_s is None:
                return None
            total_s += count * (each_s or 0.0)
            if evidence == PROBED and self._plan.max_minutes:
                total_s = min(total_s, max(0.0, self._plan.max_minutes * 60 - self.elapsed_s))
        return max(0.0, total_s - self._spent_s())

    def _spent_s(self) -> float:
        """How much of the current stage is behind, at most what such a stage takes."""
        if self.current is None:
            return 0.0
        usual_s = self._each_s(self.current.stage.evidence) or 0.0
        return min(self.clock() - self.current.began_s, usual_s)

    def _left(self) -> dict[Evidence[Any], float] | None:
        """How often each stage will still run, or None before the first proposal was timed."""
        plan, counts = self._plan, self.funnel
        if not counts.proposed:
            return None
        proposals = [c for c in self._known.values() if c.is_proposal]
        passed = [c for c in proposals if c.has(SCREENED) and not was_too_slow(c)]
        to_propose = 0 if self._search_over else max(0, plan.candidates - counts.proposed)
        more = to_propose * len(passed) / counts.proposed
        unprobed = sum(not c.has(PROBED) and c.rejected is None for c in passed)
        alive = sum(c.rejected is None or c.has(TRAINED) for c in passed)
        finalists = min(float(plan.finalists), alive + more)
        references = [c for c in self._known.values() if not c.is_proposal]

        def still(evidence: Evidence[Any]) -> float:
            published = len(plan.references) - _through(references, evidence)
            ours = finalists - _through([c for c in passed if c.has(PROBED)], evidence)
            return max(0, published) + max(0.0, ours)

        if plan.compiles:
            return {SCREENED: to_propose + len(plan.references) - len(references)}
        published_left = max(0, len(plan.references) - _through(references, SCREENED))
        unprobed_references = max(0, len(plan.references) - _through(references, PROBED))
        return {
            SCREENED: to_propose + published_left,
            PROBED: more + unprobed_references + (0 if self._search_over else unprobed),
            SETTLED: max(0.0, self._to_settle(passed, more)),
            TRAINED: still(TRAINED),
            QUANTIZED: still(QUANTIZED),
            EXPORTED: max(0.0, self._to_export(finalists)),
        }

    def _to_settle(self, passed: list[Candidate], more: float) -> float:
        """Those in front are timed again before any proposal is trained in full."""
        if any(c.has(TRAINED) for c in passed):
            return 0.0
        again = sum(c.has(SETTLED) for c in passed)
        alive = sum(c.rejected is None for c in passed)
        return min(CONTENDERS * self._plan.finalists, alive + more) - again

    def _to_export(self, finalists: float) -> float:
        """Winners are a front, often half of the finalists; exact once exporting has begun."""
        exported = sum(c.has(EXPORTED) for c in self._known.values())
        return max(1.0 if not exported else 0.0, finalists / 2 - exported)

    def _each_s(self, evidence: Evidence[Any]) -> float | None:
        """Mean duration of a stage; where none was seen, a guess from the others, or None."""
        seen = self._durations_s[evidence]
        if seen:
            return sum(seen) / len(seen)
        if evidence in _TIMINGS and self._durations_s[SCREENED]:
            return _TIMINGS[evidence] * (self._each_s(SCREENED) or 0.0)
        if self._budget is None or not self._durations_s[PROBED]:
            return None
        step_s = (self._each_s(PROBED) or 0.0) / self._plan.probe_steps
        if evidence == TRAINED:
            return step_s * max(0, self._budget.max_steps - self._plan.probe_steps)
        if evidence == QUANTIZED:
            return step_s * _QUANTIZING_STEP * self._budget.quant_steps
        return None


def _through(candidates: list[Candidate], evidence: Evidence[Any]) -> int:
    """How many need this stage no more: they have its evidence or were refused."""
    return sum(c.has(evidence) or c.rejected is not None for c in candidates)
