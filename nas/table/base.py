"""The types of the table: networks that were measured once, and what is answered from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from search_spaces.base import Architecture
from trainers.base import Metric

SCREENING_S = 0.6
"""What timing one untrained network takes on the machine of the table, compilation included."""


ENGINE = "table"
"""The engine that receipts of a simulated search name."""


class TableError(ValueError):
    """The table cannot be used for this; the message says what there is and what to do."""


@dataclass(frozen=True)
class About:
    """How every network of a table was measured and trained.

    Attributes:
        height: rows of the input that was timed.
        width: columns of it.
        threads: processor threads of the engine.
        slowest_ms: networks slower than this in int8 were timed and not trained.
        baseline: the metric without any network.
        pictures: what the metric is the mean over, by name.
        settings: the groups `task` and `budget` of the trainings, as plain data.
    """

    height: int
    width: int
    threads: int
    engine: str
    slowest_ms: float
    baseline: float
    metric: Metric
    pictures: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """Steps of every training."""
        return int(self.settings["budget"]["max_steps"])

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what the packed file holds."""
        return cls(**{
            **data, "metric": Metric(**data["metric"]), "pictures": tuple(data["pictures"]),
        })


@dataclass(frozen=True)
class Trained:
    """One training: the metric wherever it was looked at, and what it came to.

    Attributes:
        curve: (step, metric of the averaged weights), in the order of the steps.
        metric: None when the training diverged.
        scores: the metric on each picture.
        diverged: what broke it, else empty.
    """

    curve: tuple[tuple[int, float], ...]
    metric: float | None = None
    train_s: float = 0.0
    scores: tuple[float, ...] = ()
    diverged: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what the packed file holds."""
        curve = tuple((int(step), float(metric)) for step, metric in data.get("curve", ()))
        return cls(**{**data, "curve": curve, "scores": tuple(data.get("scores", ()))})


@dataclass(frozen=True)
class Entry:
    """One measured network.

    Attributes:
        space: name of the space it was drawn from.
        choices: what was chosen there.
        latency_ms: median of one inference, by precision.
        verdict: of that measurement, by precision.
        quick: the training that the table is about; None where the network was too slow for it.
        long: a training of many more steps, where there is one.
    """

    number: int
    space: str
    choices: Mapping[str, Any]
    architecture: Architecture
    latency_ms: Mapping[str, float]
    verdict: Mapping[str, str] = field(default_factory=dict)
    processor: str = ""
    quick: Trained | None = None
    long: Trained | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what the packed file holds."""
        precisions = [p for p in ("int8", "fp32") if f"{p}_ms" in data]
        return cls(
            data["number"],
            data["space"],
            data["choices"],
            Architecture.from_json(data["architecture"]),
            {p: data[f"{p}_ms"] for p in precisions},
            {p: data[f"{p}_verdict"] for p in precisions},
            data.get("processor") or "",
            *(Trained.from_json(data[k]) if k in data else None for k in ("quick", "long")),
        )


@dataclass(frozen=True)
class Answer:
    """What is known or estimated of one network.

    Attributes:
        latency_ms: by precision.
        verdict: of the measurement; `ok` for estimates.
        training: the curve and what it came to, per-picture scores only where it was made.
        screening_s: what timing it costs.
        latency_estimated: whether the latency was not measured on this network.
        training_estimated: whether it was not trained.
    """

    latency_ms: Mapping[str, float]
    verdict: Mapping[str, str]
    training: Trained
    screening_s: float
    latency_estimated: bool
    training_estimated: bool


def read(path: Path) -> tuple[About, list[Entry]]:
    """Read a packed table.

    Raises:
        TableError: there is none, or it holds too little.
    """
    try:
        data = json.loads(path.read_text())
        entries = [Entry.from_json(e) for e in data["networks"] if "fp32_ms" in e]
        return About.from_json(data["about"]), entries
    except OSError as error:
        raise TableError(f"there is no table at {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, EOFError) as error:
        raise TableError(
            f"{path} is no table of this version ({type(error).__name__}: {error}): pack it "
            "again with benchmarks/table/make.py pack"
        ) from error


def refuse_unless_fits(about: About, asked: Mapping[str, Any], *, where: str) -> None:
    """Refuse a search that asks for something else than the table was made with.

    Args:
        asked: the groups `task`, `budget` and `target` of the search, as plain data, and
            `study.probe_steps` under `study`.
        where: the table, for the message.

    Raises:
        TableError: the message names what differs.
    """
    made = {
        "task": about.settings["task"],
        "budget": about.settings["budget"],
        "target": {"height": about.height, "width": about.width, "threads": about.threads},
    }
    found = [line for group in made for line in _differences(group, made[group], asked[group])]
    target = asked["target"]
    if target["engine"] not in ("auto", about.engine):
        found.append(f"target.engine is {target['engine']}, made with {about.engine}")
    if target["precision"] not in ("int8", "fp32"):
        found.append(f"target.precision is {target['precision']}, made in int8 and fp32")
    if target["max_latency_ms"] > about.slowest_ms:
        found.append(
            f"target.max_latency_ms is {target['max_latency_ms']:g}, "
            f"nothing slower than {about.slowest_ms:g} was trained"
        )
    if found:
        raise TableError(f"study.table={where} does not fit this search: {'; '.join(found[:3])}")


_FREE = frozenset({
    "seed", "judge_every", "max_minutes", "accelerator", "memory_format", "compile",
})
"""Settings that change neither metric nor latency of a table, or whose spread it does not know."""


def _differences(name: str, made: Any, asked: Any) -> list[str]:
    """Settings that differ, by their full names.

    A setting that a group has got since the table was made is not held against it.
    """
    if isinstance(made, dict) and isinstance(asked, dict):
        keys = [key for key in {**made, **asked} if key not in _FREE]
        if "." not in name:
            keys = [key for key in keys if key in made and key in asked]
        return [
            line for k in keys for line in _differences(f"{name}.{k}", made.get(k), asked.get(k))
        ]
    return [] if made == asked else [f"{name} is {_short(asked)}, made with {_short(made)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def metric_at(training: Trained, step: int) -> float:
    """The metric after so many steps: as looked at, or on the line between two looks.

    Raises:
        TableError: it was not looked at so early.
    """
    before: tuple[int, float] | None = None
    for at, metric in training.curve:
        if at == step:
            return metric
        if at > step:
            if before is None:
                raise TableError(
                    f"the table looks at the metric from step {at} on: ask for study.probe_steps "
                    f"of at least {at}"
                )
            share = (step - before[0]) / (at - before[0])
            return before[1] + share * (metric - before[1])
        before = (at, metric)
    if before is None:
        raise TableError("a training without any look at its metric")
    return before[1]


def first_look(entries: Sequence[Entry]) -> int:
    """The earliest step at which every training of the table was looked at."""
    return max((e.quick.curve[0][0] for e in entries if e.quick and e.quick.curve), default=0)
