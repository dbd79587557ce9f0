"""The settings of a measurement: how long, how sure, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from latency_models.intervals import FAR, Tails


@dataclass(frozen=True)
class MeasuringProtocol:
    """How long, how sure, and when to stop.

    Attributes:
        warmup_s: the candidate runs at least once and for this long before anything counts.
        round_s: how long the candidate runs in one round, at least once.
        min_rounds: fewest rounds without a limit.
        max_rounds: most rounds.
        budget_s: no round starts later than this, unless fewer than three were done.
        half_width: target for half the 95 % interval of the median, relative to it. Stopping at
            a width makes the interval a little optimistic (Y. S. Chow, H. Robbins, 1965).
        widest_ok: half the interval, relative, up to which a report is still `ok` when the
            budget was spent before the target was reached.
        confidence: of the answer to a limit, over all looks together.
        guard: relative error between two processes that time the same file, which no number of
            rounds in one process removes; an answer to a limit keeps this distance from it.
        tails: see `intervals.median_interval`; what lets a few rounds settle a candidate that is
            far from the limit.
        rank_half_width: a candidate that proved to be within a limit is measured on until half
            the 95 % interval of its rounds is so narrow, relative to the median; None to stop
            with the answer.
        rank_s: or until so much time was spent and the rounds have an interval of their own.
        max_drift: how much slower than its quiet time the reference may be before and after a
            round that counts as quiet, relative. With too few of them all rounds count.
        reference_ms: the reference network's quiet time on this device, if it is known; else it
            is taken when the engine is first used and remembered for other processes of this
            machine (`device.remembered`). Every report tells it in its conditions.
    """

    warmup_s: float = 0.1
    round_s: float = 0.012
    min_rounds: int = 12
    max_rounds: int = 400
    budget_s: float = 3.0
    half_width: float = 0.01
    widest_ok: float = 0.015
    confidence: float = 0.99
    guard: float = 0.01
    tails: Tails = FAR
    rank_half_width: float | None = None
    rank_s: float = 0.25
    max_drift: float = 0.12
    reference_ms: float | None = None

    @classmethod
    def within(cls, share: float) -> Self:
        """The protocol whose `ok` says: another process would find the same within `share`.

        Half of the share may be this interval's, half the other's. A narrower share takes
        longer, in proportion, and is less often reached; 0.03 is the default protocol.

        Raises:
            ValueError: the share is not above 0 and at most 0.2.
        """
        if not 0 < share <= 0.2:
            raise ValueError(f"within {share:.3%}: give a share above 0 and at most 20 %")
        patience = max(1.0, 0.03 / share)
        return cls(
            half_width=share / 3,
            widest_ok=share / 2,
            budget_s=cls.budget_s * patience**2,
            max_rounds=round(cls.max_rounds * patience**2),
        )

    def __post_init__(self) -> None:
        declared = all(factor > 1 and 0 < share < 0.5 for factor, share in self.tails)
        if not 0.5 < self.confidence < 1 or not 0 <= self.guard < 1 or not declared:
            raise ValueError(
                f"confidence {self.confidence} must be in (0.5, 1), guard {self.guard} in [0, 1) "
                f"and of each of the tails {tuple(self.tails)} the factor above 1, the share in "
                "(0, 0.5)"
            )
