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
    MAIN,
    PROBED,
    QUANTIZED,
    SCREENED,
    SETTLED,
    TRAINED,
    Evidence,
    R,
    Report,
    known_as,
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
        evidence: a report of each stage that it has been through, by the key of the evidence.
        limits_ms: of a search with several targets what it has to keep on each, by the target's
            name, the first one before the others; empty for one target.
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
    limits_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a name that is no folder's: the candidate's files lie under it.

        Raises:
            OutsideFolder: it is none.
        """
        require_plain("a candidate's name", self.name)

    def get(self, what: Evidence[R]) -> R | None:
        """A stage's report, or None where it has not been through that."""
        return cast(R | None, self.evidence.get(what.key))

    def __getitem__(self, what: Evidence[R]) -> R:
        """The report of a stage that it has been through.

        Raises:
            KeyError: it has not.
        """
        return cast(R, self.evidence[what.key])

    def has(self, what: Evidence[Any]) -> bool:
        """Whether it has been through this stage."""
        return what.key in self.evidence

    def having(self, what: Evidence[R], report: R) -> Self:
        """The same candidate with this report."""
        return replace(self, evidence={**self.evidence, what.key: report})

    def without(self, *what: Evidence[Any]) -> Self:
        """The same candidate as if it had not been through these stages, on any target."""
        targets = self.limits_ms or (MAIN,)
        keys = {one.on(target).key for one in what for target in targets}
        left = {key: report for key, report in self.evidence.items() if key not in keys}
        return replace(self, evidence=left)

    @property
    def is_proposal(self) -> bool:
        """Whether the search proposed it; what was published or given is only compared."""
        return self.origin.kind == "proposed"

    @property
    def latency_ms(self) -> float:
        """What it is ranked by: the best-founded latency there is.

        Of several targets the one counts on which it takes most of its limit, in milliseconds of
        the first one's limit: a network that takes 90 % of its limit somewhere and less elsewhere
        has 90 % of the first target's.

        Raises:
            ValueError: it has not been timed.
        """
        if shares := self.shares:
            return max(shares.values()) * self.limits_ms[MAIN]
        if self.receipt is None:
            raise ValueError(f"{self.name} has not been timed")
        return self.receipt.median_ms

    @property
    def first_latency_ms(self) -> float:
        """What it was ranked by when it was timed for the first time.

        Raises:
            ValueError: it has not been timed.
        """
        return self.without(SETTLED, EXPORTED).latency_ms

    @property
    def receipt(self) -> LatencyReport | None:
        """The best-founded receipt of the first target: of the shipped file, if there is one."""
        return self.receipt_on(MAIN)

    @property
    def receipts(self) -> Mapping[str, LatencyReport]:
        """That of each target on which it was timed, by the target's name."""
        found = {target: self.receipt_on(target) for target in self.limits_ms or (MAIN,)}
        return {target: receipt for target, receipt in found.items() if receipt is not None}

    def receipt_on(self, target: str) -> LatencyReport | None:
        """That of one target, or None where it was not timed there."""
        if (exported := self.get(EXPORTED.on(target))) is not None:
            return exported.shipped
        return self.get(SETTLED.on(target)) or self.get(SCREENED.on(target))

    @property
    def shares(self) -> Mapping[str, float]:
        """Of several targets: what it takes of its limit on each on which it was timed."""
        if not self.limits_ms:
            return {}
        return {t: r.median_ms / self.limits_ms[t] for t, r in self.receipts.items()}

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
        plain = {
            "format": FORMAT,
            **asdict(self),
            "id": self.architecture.id,
            "architecture": self.architecture.to_json(),
            "evidence": {key: report.to_json() for key, report in self.evidence.items()},
        }
        if not self.limits_ms:
            del plain["limits_ms"]
        return plain

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
        evidence = {}
        for key, report in data["evidence"].items():
            if (what := known_as(key)) is None:
                raise ValueError(f"evidence '{key}': known are {one_of(list(KNOWN))}")
            evidence[key] = what.report.from_json(report)
        rejected = data["rejected"]
        return cls(
            data["name"],
            Origin(**data["origin"]),
            architecture,
            data["parameters"],
            evidence,
            None if rejected is None else Rejection(**rejected),
            data["outlook"],
            data.get("limits_ms", {}),
        )


def report_in(case: Mapping[str, Any], what: Evidence[R]) -> R | None:
    """One report of a case file of any format, whatever else stands there; None without it."""
    found = case.get("evidence", case).get(what.key)
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
