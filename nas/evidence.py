"""What stages leave behind: reports, each under a typed key that names it in the case file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, Protocol, Self, TypeVar

from latency_models.base import LatencyReport
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


class Report(Protocol):
    """What came of a stage: a frozen record that a case file can hold."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` gave."""


R = TypeVar("R", bound=Report)


@dataclass(frozen=True)
class Evidence(Generic[R]):
    """The key of one stage's report: `candidate.get(TRAINED)` is a TrainReport or None.

    Attributes:
        name: of the stage for people: a past participle.
        report: its type, which reads it back.
        target: which of a search's further targets it speaks of; empty for the first one.
    """

    name: str
    report: type[R]
    target: str = ""

    @property
    def key(self) -> str:
        """Under which it stands in case files: `screened`, or `screened@small`."""
        return f"{self.name}{_ON}{self.target}" if self.target else self.name

    def on(self, target: str) -> Evidence[R]:
        """The same of one target of a search, by the target's name."""
        return self if target == MAIN else replace(self, target=target)

    def __post_init__(self) -> None:
        """Be known to whoever reads case files.

        Raises:
            ValueError: another one has this name.
        """
        if KNOWN.setdefault(self.name, self).report is not self.report:
            raise ValueError(f"there are two kinds of evidence called '{self.name}'")


KNOWN: dict[str, Evidence[Any]] = {}
"""By the names that stand in case files."""
MAIN = "main"
"""The first target's name, where a search has several: networks are trained and judged for it."""
_ON = "@"


def known_as(key: str) -> Evidence[Any] | None:
    """The evidence under this key of a case file, or None where nothing here reads it."""
    name, _, target = key.partition(_ON)
    return KNOWN[name].on(target or MAIN) if name in KNOWN else None


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
        file: of a further target, the name of what ships there; the first one's are called by
            their precisions.
    """

    folder: str
    shipped: LatencyReport
    fp32: LatencyReport
    max_abs_error: Mapping[str, float]
    mean_abs_error: Mapping[str, float]
    file: str = ""

    def __post_init__(self) -> None:
        """Refuse a folder elsewhere.

        Raises:
            OutsideFolder: the study's folder does not hold it.
        """
        for part in self.folder.split("/"):
            require_plain("the folder of a bundle", part)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back."""
        plain = asdict(self)
        if not self.file:
            del plain["file"]
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` gave."""
        receipts = {key: LatencyReport.from_json(data[key]) for key in ("shipped", "fp32")}
        return cls(**{**data, **receipts})


SCREENED = Evidence("screened", LatencyReport)
"""Latency of the untrained network."""
PROBED = Evidence("probed", TrainReport)
"""The first steps of the full training, only to rank it among the others."""
SETTLED = Evidence("settled", LatencyReport)
"""Latency of the untrained network again, longer, for those that may be chosen."""
TRAINED = Evidence("trained", TrainReport)
"""The full training."""
QUANTIZED = Evidence("quantized", QuantReport)
"""The metric at the precision that ships, in the engine's own output."""
EXPORTED = Evidence("exported", ExportReport)
"""The winner's bundle."""
