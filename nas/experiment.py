"""What one search works with: its target, its budget and its collaborators, built once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from latency_models.base import Arrays, Frames, LatencyModel, Precision
from nas.candidate import Candidate
from nas.events import Event, Listener, Note
from nas.evidence import EXPORTED, PROBED, Evidence
from nas.extras import TrainerSettings
from nas.ledger import Ledger
from nas.target import Target
from nas.workers.base import Alone, Workers
from search_spaces.base import SearchSpace
from search_spaces.quantize import QuantRules
from trainers.base import Task, Teacher
from trainers.budget import Budget

_MOST_NETWORKS, _MOST_STEPS = 10**6, 10**9
_MOST_PROCESSES, _LONGEST_NAME, _LONGEST_MS = 1024, 200, 3_600_000
_SEEDS = 2**32
"""As many as every generator of random numbers takes."""
Aim = Literal["front", "best"]
Screen = Literal["time", "compile"]








@dataclass(frozen=True)
class Plan:
    """How far a search goes.

    Attributes:
        name: the study's name; its folder under `runs`.
        candidates: how many different networks are timed.
        probe_steps: steps of the full training after which the fast ones are ranked.
        finalists: how many of them are trained in full and quantized.
        aim: what finalists are chosen for: the whole `front` of quality and latency, or the
            `best` network under the limit.
        horizon: steps of a training on many pictures that networks are compared for, where the
            budget is shorter and the published table tells what such a training adds; None to
            compare them after the budget.
        max_minutes: no new candidate is proposed after this many minutes, all runs of the study
            together; what was begun is ended. None for no limit.
        patience: give up when so many candidates were timed and none was fast enough.
        limits: latencies in ms, at most the target's limit, for each of which the best network
            is told and shipped too.
        references: published networks to train and time beside the front.
        seed: of the sampler, the weights and the crops.
        training_processes: how many finalists are trained at once, each in a process of its own;
            0 for one on every core.
        table: a packed table of measured networks that answers in place of this machine.
        screen: `time` candidates on the device, or only `compile` them where there is none; the
            study then ends with what compiles, and nothing is trained.
    """

    name: str
    candidates: int = 64
    probe_steps: int = 120
    finalists: int = 8
    aim: Aim = "front"
    horizon: int | None = None
    max_minutes: float | None = None
    patience: int = 24
    limits: Sequence[float] = ()
    references: Sequence[str] = ()
    seed: int = 0
    training_processes: int = 1
    table: str | None = None
    screen: Screen = "time"

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be followed.

        Raises:
            ValueError: a field is out of its range; the message names it.
        """
        if not self.name.strip(".") or any(c in self.name for c in "/\\ \0"):
            raise ValueError(f"study.name is '{self.name}': use letters, digits, '-' and '_'")
        if len(self.name.encode()) > _LONGEST_NAME:
            raise ValueError(
                f"study.name has {len(self.name.encode())} bytes: use at most {_LONGEST_NAME}, it "
                "is a folder's name too"
            )
        for name, most in (
            ("candidates", _MOST_NETWORKS), ("probe_steps", _MOST_STEPS),
            ("finalists", _MOST_NETWORKS), ("patience", _MOST_NETWORKS),
        ):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(
                    f"study.{name} is {getattr(self, name)}: it must be at least 1 and at most "
                    f"{most}"
                )
        if not 0 <= self.seed < _SEEDS:
            raise ValueError(f"study.seed is {self.seed}: use 0 to {_SEEDS - 1}")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ValueError(f"study.max_minutes is {self.max_minutes}: it must be positive")
        for limit_ms in self.limits:
            if not 0 < limit_ms <= _LONGEST_MS:
                raise ValueError(
                    f"study.limits has {limit_ms}: give milliseconds above 0, at most "
                    f"{_LONGEST_MS}"
                )
        if self.horizon is not None and not 1 <= self.horizon <= _MOST_STEPS:
            raise ValueError(
                f"study.horizon is {self.horizon}: use 1 to {_MOST_STEPS} steps, or null"
            )
        if self.aim not in get_args(Aim):
            raise ValueError(f"study.aim is '{self.aim}': use front or best")
        if self.screen not in get_args(Screen):
            raise ValueError(f"study.screen is '{self.screen}': use time or compile")
        if self.screen == "compile" and self.table is not None:
            raise ValueError("study.table answers what candidates take: leave out study.screen")
        if not 0 <= self.training_processes <= _MOST_PROCESSES:
            raise ValueError(
                f"study.training_processes is {self.training_processes}: use 0 for every core, "
                f"or at most {_MOST_PROCESSES}"
            )

    @property
    def compiles(self) -> bool:
        """Whether candidates are only compiled: nothing is timed or trained."""
        return self.screen == "compile"


class Runner(Protocol):
    """The target's engine, running files on given inputs."""

    def run(
        self, onnx: bytes, precision: Precision, frames: Frames, carried: Mapping[str, str]
    ) -> Sequence[Arrays]:
        """Compile once and run over frames, for parity and quality on the real engine."""


@dataclass(frozen=True)
class Rig:
    """One target of a search, and what times and runs networks there.

    Attributes:
        name: the target's, `main` of the first one.
        quick: times candidates.
        full: times what is compared and what ships, by the full protocol.
        runner: the same engine, to look at its outputs.
        rules: where the engine wants quantizers.
        device: what the engine runs on; training gives way to whoever times on it.
    """

    name: str
    target: Target
    quick: LatencyModel
    full: LatencyModel
    runner: Runner
    rules: QuantRules
    device: str = ""


@dataclass(frozen=True)
class Words:
    """What people are told of a stage.

    Attributes:
        doing: what goes on in it, as `short training`.
        done: what became of those that came through, behind their number: `4 trained briefly`;
            empty where they are not counted.
        bar: the same in the report; `done` where it is empty.
    """

    doing: str
    done: str = ""
    bar: str = ""


@dataclass(frozen=True)
class Stage:
    """A part of the corridor.

    Attributes:
        evidence: what it leaves; by that it is known.
        body: takes a candidate and returns one with that evidence, or with a rejection.
        proposals_only: whether what was published or given passes it by.
    """

    evidence: Evidence[Any]
    body: Callable[[Candidate, Experiment], Candidate]
    words: Words
    proposals_only: bool = False

    @property
    def name(self) -> str:
        """By which it is known to people and in files."""
        return self.evidence.name


@dataclass(frozen=True)
class Experiment:
    """Everything a stage may ask for.

    Attributes:
        rigs: one for each target, by name. Networks are trained, quantized and judged for the
            first one, and have to meet the limits of all.
        stages: in their order.
        listeners: told what goes on, one after the other.
        workers: who else works on the same study.
        weights: what full trainings begin from instead of a draw, layers that it lacks left out.
        teacher: makes what trainings imitate beside their task, anew for each of them.
        extras: callbacks and a logger of Lightning's for every training.
    """

    folder: Path
    plan: Plan
    rigs: Mapping[str, Rig]
    budget: Budget
    space: SearchSpace
    task: Task
    ledger: Ledger
    stages: Sequence[Stage]
    listeners: Sequence[Listener] = ()
    workers: Workers = Alone()
    weights: Mapping[str, NDArray[np.float32]] | None = None
    teacher: Callable[[], Teacher] | None = None
    extras: TrainerSettings = TrainerSettings()

    @property
    def main(self) -> Rig:
        """That of the first target."""
        return next(iter(self.rigs.values()))

    @property
    def target(self) -> Target:
        """The first one."""
        return self.main.target

    @property
    def in_turn(self) -> Sequence[Rig]:
        """The rigs as candidates are timed on them: where the limit is shortest, it costs least.

        So whoever misses one limit costs no more than it has to.
        """
        return sorted(self.rigs.values(), key=lambda rig: rig.target.max_latency_ms)

    @property
    def limits_ms(self) -> Mapping[str, float]:
        """The limit of each of several targets, by name; empty for one."""
        if len(self.rigs) == 1:
            return {}
        return {name: float(rig.target.max_latency_ms) for name, rig in self.rigs.items()}

    def tell(self, event: Event) -> None:
        """Let everybody know who listens."""
        for listener in self.listeners:
            listener(event)

    def note(self, line: str) -> None:
        """Tell a line that should be read."""
        self.tell(Note(line))

    @property
    def simulated(self) -> bool:
        """Whether something else than this machine answers, so that nothing can be exported."""
        return not self._leaves(EXPORTED)

    @property
    def trains(self) -> bool:
        """Whether candidates are trained, or only compiled."""
        return self._leaves(PROBED)

    def _leaves(self, evidence: Evidence[Any]) -> bool:
        return any(stage.evidence is evidence for stage in self.stages)
