"""Even draws: what every other policy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from nas.policies.base import Proposal, Question
from nas.policies.wishes import even


@dataclass(frozen=True)
class Random:
    """Every choice is drawn evenly, whatever came of the earlier ones."""

    def propose(self, question: Question) -> Proposal:
        """Draw a network that is not known yet."""
        return even(question)
