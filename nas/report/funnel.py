"""How many candidates came how far, and what a candidate is at the end of a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.candidate import Candidate
from nas.evidence import EXPORTED, KNOWN, PROBED, QUANTIZED, SCREENED, Evidence
from nas.experiment import Stage
from nas.table.base import ENGINE


@dataclass(frozen=True)
class Funnel:
    """How many proposals came how far; references are not proposals.

    Attributes:
        proposed: different networks that were examined.
        too_slow: over the limit when they were timed untrained.
        failed: refused for another reason: not compiled, diverged, too slow when it was timed
            again or as a shipped file.
        winners: exported, on the limit's good side with the file that ships.
        through: how many have the evidence of each stage, by its name.
    """

    proposed: int
    too_slow: int
    failed: int
    winners: int
    through: Mapping[str, int]

    def came(self, evidence: Evidence[Any]) -> int:
        """How many came through a stage."""
        return self.through.get(evidence.name, 0)

    def steps(self, stages: Iterable[Stage]) -> list[tuple[Stage, int]]:
        """The stages that people are told of, with how many came so far.

        Those that were refused untimed were examined too, and winners are those that won.
        """
        told = {SCREENED: self.proposed, EXPORTED: self.winners}
        return [
            (stage, told.get(stage.evidence, self.came(stage.evidence)))
            for stage in stages if stage.words.done
        ]

    def described(self, stages: Iterable[Stage], *, of: int) -> str:
        """A line: `5 of 16 timed untrained, 1 too slow, 2 failed, 2 trained briefly`.

        Args:
            of: how many proposals are planned.
        """
        (first, examined), *others = self.steps(stages)
        parts = [
            f"{examined} of {of} {first.words.done}",
            f"{self.too_slow} too slow",
            f"{self.failed} failed",
            *(f"{count} {stage.words.done}" for stage, count in others),
        ]
        return ", ".join(parts)

    def to_json(self) -> dict[str, int]:
        """All counts beside each other."""
        return {
            "proposed": self.proposed, "too_slow": self.too_slow, "failed": self.failed,
            **self.through, "winners": self.winners,
        }


def is_winner(candidate: Candidate) -> bool:
    """Whether it is a proposal that shipped and kept the limit; simulated ones need not ship."""
    last = candidate.has(QUANTIZED if is_simulated(candidate) else EXPORTED)
    return last and candidate.rejected is None and candidate.is_proposal


def is_simulated(candidate: Candidate) -> bool:
    """Whether a table answered for it, so that there are no weights and no files."""
    return candidate.has(SCREENED) and candidate[SCREENED].engine == ENGINE


def was_too_slow(candidate: Candidate) -> bool:
    """Whether it was refused for its latency before any training."""
    rejected = candidate.rejected
    over = rejected is not None and rejected.constraint == "latency_ms"
    return over and not candidate.has(PROBED)


def funnel(candidates: Iterable[Candidate]) -> Funnel:
    """Count the proposals by their evidence."""
    proposals = [c for c in candidates if c.is_proposal]
    slow = sum(was_too_slow(c) for c in proposals)
    return Funnel(
        proposed=sum(c.has(SCREENED) or c.rejected is not None for c in proposals),
        too_slow=slow,
        failed=sum(c.rejected is not None for c in proposals) - slow,
        winners=sum(is_winner(c) for c in proposals),
        through=Counter(name for c in proposals for name in c.evidence if name in KNOWN),
    )
