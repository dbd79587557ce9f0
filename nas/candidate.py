"""The case file that flows through the pipeline: one architecture and the evidence about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, cast

from latency_models.base import LatencyReport
from nas.evidence import (
    EXPORTED,
    KNOWN,
    PROBED,
    QUANTIZED,
    SCREENED,
    SETTLED,
    TRAINED,
    Evidence,
    R,
    Report,
    require_plain,
)
from nas.kinds import one_of
from search_spaces.base import Architecture
from trainers.base import QuantReport, TrainReport

FORMAT = 2
"""Of case files. The first one had no number, its reports beside the name, and told proposals from
published networks by their names."""


def trial_of(name: str) -> int | None:
    """The number of the trial that a proposal is named after; None for any other name."""
    found = re.fullmatch(r"trial-(\d+)", name)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Origin:
    """Where a candidate comes from.

    Attributes:
        kind: `proposed` by a policy, `published` by others, or `given` by whoever has it trained.
        by: what proposed it: `start`, `random`, `mutation of trial-00012`; empty in case files
            from before that was kept.
    """

    kind: Literal["proposed", "published", "given"]
    by: str = ""


PUBLISHED, GIVEN = Origin("published"), Origin("given")


@dataclass(frozen=True)
class Rejection:
    """Why a candidate goes no further: the graph is at fault, it is never tried again.

    Attributes:
        constraint: what was violated, such as `latency_ms` or `compiles`.
        reason: one line for people.
        value: what was measured, where something was.
        limit: what was allowed.
    """

    constraint: str
    reason: str
    value: float | None = None
    limit: float | None = None

    @property
    def violation(self) -> float:
        """How far beyond the limit, relative to it; 1 where nothing could be measured."""
        if self.value is None or not self.limit:
            return 1.0
        return self.value / self.limit - 1.0


@dataclass(frozen=True)
class Candidate:
    """One network under examination. Which reports there are *is* its status.

    Attributes:
        name: `trial-<number>` for a proposal, the network's name for any other.
        parameters: the sampler's choices that led to it, kept to build neighbours.
        evidence: a report of each stage that it has been through, by the stage's name.
        outlook: the metric that a much longer training is expected to give (`study.horizon`);
            None where nothing is known of that.
    """

    name: str
    origin: Origin
    architecture: Architecture
    parameters: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Report] = field(default_factory=dict)
    rejected: Rejection | None = None
    outlook: float | None = None

    def __post_init__(self) -> None:
        """Refuse a name that is no folder's: the candidate's files lie under it.

        Raises:
            OutsideFolder: it is none.
        """
        require_plain("a candidate's name", self.name)

    def get(self, what: Evidence[R]) -> R | None:
        """A stage's report, or None where it has not been through that."""
        return cast(R | None, self.evidence.get(what.name))

    def __getitem__(self, what: Evidence[R]) -> R:
        """The report of a stage that it has been through.

        Raises:
            KeyError: it has not.
        """
        return cast(R, self.evidence[what.name])

    def has(self, what: Evidence[Any]) -> bool:
        """Whether it has been through this stage."""
        return what.name in self.evidence

    def having(self, what: Evidence[R], report: R) -> Self:
        """The same candidate with this report."""
        return replace(self, evidence={**self.evidence, what.name: report})

    def without(self, *what: Evidence[Any]) -> Self:
        """The same candidate as if it had not been through these stages."""
        names = {one.name for one in what}
        left = {name: report for name, report in self.evidence.items() if name not in names}
        return replace(self, evidence=left)

    @property
    def is_proposal(self) -> bool:
        """Whether the search proposed it; what was published or given is only compared."""
        return self.origin.kind == "proposed"

    @property
    def latency_ms(self) -> float:
        """The best-founded latency there is: of the shipped file, else of the untrained one."""
        if self.receipt is None:
            raise ValueError(f"{self.name} has not been timed")
        return self.receipt.median_ms

    @property
    def receipt(self) -> LatencyReport | None:
        """The receipt that `latency_ms` comes from."""
        if (exported := self.get(EXPORTED)) is not None:
            return exported.shipped
        return self.get(SETTLED) or self.get(SCREENED)

    @property
    def judged(self) -> QuantReport | TrainReport | None:
        """The best-founded report of its quality there is, or None before any training."""
        return self.get(QUANTIZED) or self.get(TRAINED) or self.get(PROBED)

    @property
    def pictures(self) -> int:
        """On how many pictures that is founded; 0 where it was not kept."""
        return 0 if self.judged is None else len(self.judged.scores)

    @property
    def quality(self) -> float | None:
        """The best-founded metric there is, or None before any training."""
        return None if self.judged is None else self.judged.metric

    @property
    def standing(self) -> float | None:
        """The metric by which it is compared: what is ahead of it counts, where that is told."""
        if self.quality is None or self.outlook is None or not self.has(TRAINED):
            return self.quality
        return self.quality + self.outlook - self[TRAINED].metric

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back to an equal candidate."""
        return {
            "format": FORMAT,
            **asdict(self),
            "id": self.architecture.id,
            "architecture": self.architecture.to_json(),
            "evidence": {name: report.to_json() for name, report in self.evidence.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote, in this format or an earlier one.

        Raises:
            ValueError: it is of a later format, holds evidence that nothing here reads, or its
                architecture is not that of the evidence.
        """
        architecture = Architecture.from_json(data["architecture"])
        if data.get("id", architecture.id) != architecture.id:
            raise ValueError(f"its architecture is {architecture.id}, its id {data['id']}")
        if "format" not in data:
            data = _of_first_format(data)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}: this version reads up to {FORMAT}")
        if unknown := set(data["evidence"]) - set(KNOWN):
            raise ValueError(f"evidence '{min(unknown)}': known are {one_of(list(KNOWN))}")
        rejected = data["rejected"]
        return cls(
            data["name"],
            Origin(**data["origin"]),
            architecture,
            data["parameters"],
            {name: KNOWN[name].report.from_json(it) for name, it in data["evidence"].items()},
            None if rejected is None else Rejection(**rejected),
            data["outlook"],
        )


def report_in(case: Mapping[str, Any], what: Evidence[R]) -> R | None:
    """One report of a case file of any format, whatever else stands there; None without it."""
    found = case.get("evidence", case).get(what.name)
    return None if found is None else what.report.from_json(found)


def _of_first_format(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the first format would be in this one."""
    if "evidence" in data:
        raise ValueError("it says no format")
    kind = "published" if trial_of(data["name"]) is None else "proposed"
    return {
        "format": FORMAT,
        "name": data["name"],
        "origin": {"kind": kind, "by": data.get("origin", "")},
        "parameters": data["parameters"],
        "evidence": {name: data[name] for name in KNOWN if data.get(name) is not None},
        "rejected": data.get("rejected"),
        "outlook": data.get("outlook"),
    }
