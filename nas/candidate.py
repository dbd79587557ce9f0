"""The case file that flows through the pipeline: one architecture and the evidence about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from latency_models.base import LatencyReport
from search_spaces.base import Architecture
from trainers.base import QuantReport, TrainReport


class OutsideFolder(ValueError):
    """A name that would lead out of the study's folder."""


def require_plain(what: str, name: str) -> None:
    """Refuse what is no name of a folder: a path, or `..`.

    Raises:
        OutsideFolder: says which it is.
    """
    if not name.strip(".") or any(c in name for c in "/\\\0"):
        raise OutsideFolder(
            f"{what} is '{name}', which is no name of a folder: use letters, digits, '-' and '_'"
        )


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
class ExportReport:
    """A winner's bundle, checked on the files that ship.

    Attributes:
        folder: where it lies, relative to the study's folder.
        shipped: receipt of the file at the precision that ships.
        fp32: receipt of the fp32 file, timed in the same run.
        max_abs_error: largest difference of one output value between the engine on a file and
            the torch module it came from, by precision.
        mean_abs_error: the mean difference, by precision.
    """

    folder: str
    shipped: LatencyReport
    fp32: LatencyReport
    max_abs_error: Mapping[str, float]
    mean_abs_error: Mapping[str, float]

    def __post_init__(self) -> None:
        """Refuse a folder elsewhere.

        Raises:
            OutsideFolder: the study's folder does not hold it.
        """
        for part in self.folder.split("/"):
            require_plain("the folder of a bundle", part)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `dataclasses.asdict` gave."""
        receipts = {key: LatencyReport.from_json(data[key]) for key in ("shipped", "fp32")}
        return cls(**{**data, **receipts})


@dataclass(frozen=True)
class Candidate:
    """One network under examination. Which reports are filled in *is* its status.

    Attributes:
        name: `trial-<number>` for a proposal, the network's name for a published one.
        parameters: the sampler's choices that led to it, kept to build neighbours.
        screened: latency of the untrained network.
        probed: a short training, only to rank it among the others.
        settled: latency of the untrained network again, longer, for those that may be chosen.
        trained: the full training.
        quantized: the metric at the precision that ships, in the engine's own output.
        exported: the winner's bundle.
        outlook: the metric that a much longer training is expected to give (`study.horizon`);
            None where nothing is known of that.
        origin: where its choices come from: `start`, `random`, `mutation of trial-00012`, or
            whatever else proposed it; empty in case files from before that was kept.
    """

    name: str
    architecture: Architecture
    parameters: Mapping[str, Any] = field(default_factory=dict)
    screened: LatencyReport | None = None
    probed: TrainReport | None = None
    settled: LatencyReport | None = None
    trained: TrainReport | None = None
    quantized: QuantReport | None = None
    exported: ExportReport | None = None
    rejected: Rejection | None = None
    outlook: float | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        """Refuse a name that is no folder's: the candidate's files lie under it.

        Raises:
            OutsideFolder: it is none.
        """
        require_plain("a candidate's name", self.name)

    @property
    def is_reference(self) -> bool:
        """Whether it is a published network and not a proposal."""
        return not self.name.startswith("trial-")

    @property
    def latency_ms(self) -> float:
        """The best-founded latency there is: of the shipped file, else of the untrained one."""
        if self.receipt is None:
            raise ValueError(f"{self.name} has not been timed")
        return self.receipt.median_ms

    @property
    def receipt(self) -> LatencyReport | None:
        """The receipt that `latency_ms` comes from."""
        return self.exported.shipped if self.exported else self.settled or self.screened

    @property
    def judged(self) -> QuantReport | TrainReport | None:
        """The best-founded report of its quality there is, or None before any training."""
        return self.quantized or self.trained or self.probed

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
        if self.quality is None or self.outlook is None or self.trained is None:
            return self.quality
        return self.quality + self.outlook - self.trained.metric

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back to an equal candidate."""
        return {
            **asdict(self), "architecture": self.architecture.to_json(), "id": self.architecture.id
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote.

        Raises:
            ValueError: the architecture is not that of the evidence.
        """
        architecture = Architecture.from_json(data["architecture"])
        if data.get("id", architecture.id) != architecture.id:
            raise ValueError(f"its architecture is {architecture.id}, its id {data['id']}")
        readers: dict[str, Any] = {
            "screened": LatencyReport.from_json,
            "probed": TrainReport.from_json,
            "settled": LatencyReport.from_json,
            "trained": TrainReport.from_json,
            "quantized": QuantReport.from_json,
            "exported": ExportReport.from_json,
            "rejected": lambda value: Rejection(**value),
        }
        reports = {
            key: None if data.get(key) is None else read(data[key])
            for key, read in readers.items()
        }
        return cls(
            data["name"],
            architecture,
            data["parameters"],
            **reports,
            outlook=data.get("outlook"),
            origin=data.get("origin", ""),
        )
