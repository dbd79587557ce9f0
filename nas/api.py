"""The functions: what the commands do, from Python, for scripts and notebooks.

Nothing is printed, no signal is handled and no global setting stays changed; `listeners`
hear what goes on. A call that was interrupted carries on when it is repeated with the same folder
and the same arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, is_dataclass
from itertools import product
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency_models.base import PRECISIONS, DeviceError, Precision
from nas.asked import fitting
from nas.assemble import Order, build
from nas.candidate import Candidate
from nas.events import Event, Listener
from nas.evidence import EXPORTED, MAIN
from nas.experiment import Experiment, Plan
from nas.formats.export import export
from nas.measurements.benches import open_bench, receipts_path
from nas.measurements.measurement import Measurement, Questions, measurement_of
from nas.networks import CASE, Form, resolve
from nas.one_network import OneNetwork, label, train_one, trained_home
from nas.pipeline import run_study
from nas.policies.base import Policy
from nas.pruning import Figures, Pruning, figures_after, figures_before, pruned
from nas.report.results import Outcome, conclude
from nas.settings import SettingsError
from nas.storage import JOURNAL, quiet
from nas.study import Study
from nas.target import Target, require_together
from runtime.pictures import IO
from search_spaces.base import Architecture, SearchSpace
from trainers.base import DataError, Task
from trainers.budget import Budget

if TYPE_CHECKING:
    from rich.console import Console

    from nas.report.compiled import Compiled

__all__ = ["Found", "Pruned", "Trained", "bench", "export", "prune", "search", "train"]


@dataclass(frozen=True)
class Found:
    """What a search has left.

    Attributes:
        folder: of the study.
        candidates: all of them, with their evidence.
        outcome: the end as it is told: `outcome.summary` has the rows of the table.
        winners: folders of the bundles, fastest first.
    """

    folder: Path
    candidates: Sequence[Candidate]
    outcome: Outcome | Compiled
    winners: Sequence[Path]

    @property
    def report(self) -> Path:
        """The page that tells it."""
        return self.outcome.report

    def show(self, console: Console | None = None) -> None:
        """Print the table."""
        from rich.console import Console

        self.outcome.show(console or Console())


@dataclass(frozen=True)
class Trained:
    """One network that was trained, quantized and exported.

    Attributes:
        folder: of the run.
        candidate: its evidence: `candidate[TRAINED].metric`, `candidate[EXPORTED].shipped`.
        bundle: the folder that ships.
    """

    folder: Path
    candidate: Candidate
    bundle: Path


@dataclass(frozen=True)
class Pruned(Trained):
    """A trained network made smaller, trained on, quantized and exported.

    Attributes:
        before: what the larger one costs and is worth, measured here and on this task.
        after: the same of the smaller one.
    """

    before: Figures
    after: Figures


def search(
    space: SearchSpace,
    task: Task,
    target: Target,
    *,
    folder: str | Path,
    plan: Plan | None = None,
    budget: Budget | None = None,
    policy: Policy | None = None,
    listeners: Sequence[Listener] = (),
    targets: Mapping[str, Target] | None = None,
) -> Found:
    """Find the best networks of a space under the target's limit; the same call carries on.

    Args:
        target: what networks are trained, quantized and judged for.
        folder: of the study; made where it is missing.
        plan: how far it goes; `Plan(<name of the folder>)` where none is given.
        budget: of each training.
        policy: decides what is proposed; breeding where none is given.
        listeners: told what goes on (`nas.events`).
        targets: further ones by name, whose limits every winner has to meet too.

    Raises:
        SettingsError: something does not fit; the message says what to change.
        NothingFastEnough: the limit cannot be met.
        BrokenMachine: the engine or the training keeps failing.
        Interrupted: the training was told to end.
    """
    folder = Path(folder)
    plan, budget = plan or Plan(folder.name), budget or Budget()
    every = {MAIN: target, **(targets or {})}
    with _experiment(folder, space, task, every, plan, budget, listeners) as experiment:
        study = Study(
            experiment.folder / JOURNAL,
            name=plan.name,
            seed=plan.seed,
            metric=task.metric,
            policy=policy,
            limit_ms=target.max_latency_ms,
            home=experiment.folder,
            notice=experiment.note,
        )
        candidates = run_study(experiment, study)
        outcome = conclude(experiment, candidates)
    shipped = [c for c in candidates if c.has(EXPORTED) and c.rejected is None]
    winners = sorted(shipped, key=lambda c: c.latency_ms)
    bundles = [folder / c[EXPORTED].folder for c in winners]
    return Found(folder, candidates, outcome, bundles)


def train(
    network: str | Path | Architecture,
    task: Task,
    *,
    folder: str | Path,
    target: Target | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    listeners: Sequence[Listener] = (),
) -> Trained:
    """Train one network with the whole budget, quantize and export it; the same call carries on.

    Args:
        network: a published network's name, an architecture, its JSON, or a winner's folder.
        folder: of the run; made where it is missing.
        target: where it will run; int8 on this machine's processor, without a limit, if None.

    Raises:
        SettingsError: something does not fit, or the network was refused.
        UnknownNetwork: no network goes by this name.
        BrokenMachine: the engine keeps failing.
    """
    folder = Path(folder)
    named = network if isinstance(network, Architecture) else str(network)
    space = OneNetwork(named, task.signature.scale)
    plan, budget = Plan(folder.name, seed=seed), budget or Budget()
    name = label(named) if isinstance(named, str) else f"of-{named.id}"
    every = {MAIN: target or Target(max_latency_ms=inf)}
    with _experiment(folder, space, task, every, plan, budget, listeners) as experiment:
        return _exported(train_one(experiment, name), folder)


def prune(
    trained: str | Path,
    task: Task,
    *,
    folder: str | Path,
    pruning: Pruning | None = None,
    target: Target | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    listeners: Sequence[Listener] = (),
) -> Pruned:
    """Make a trained network smaller and train it on, as `train` does; the same call carries on.

    Args:
        trained: the folder of a run, of a candidate or of a winner.
        folder: of this run; made where it is missing.
        pruning: how much goes; half of the features, those of the least weights, if None.
        target: as in `train`.

    Raises:
        SettingsError: something does not fit, or the network was refused.
        UnknownNetwork: there is no trained network in the folder.
        BrokenMachine: the engine keeps failing.
    """
    folder, home = Path(folder), trained_home(Path(trained).expanduser())
    pruning = pruning or Pruning()
    space = OneNetwork(str(home / CASE), task.signature.scale)
    plan, budget = Plan(folder.name, seed=seed), budget or Budget()
    every = {MAIN: target or Target(max_latency_ms=inf)}
    beside = {"pruning": asdict(pruning)}
    with _experiment(
        folder, space, task, every, plan, budget, listeners, beside=beside
    ) as experiment:
        smaller = pruned(experiment, str(home), pruning)
        before = figures_before(experiment, str(home))
        done = _exported(train_one(smaller, f"{label(str(home / CASE))}-pruned"), folder)
        after = figures_after(experiment, done.candidate)
    return Pruned(done.folder, done.candidate, done.bundle, before, after)


def _exported(candidate: Candidate, folder: Path) -> Trained:
    """What is given back of one network.

    Raises:
        SettingsError: it was refused.
    """
    if candidate.rejected is not None or not candidate.has(EXPORTED):
        why = candidate.rejected.reason if candidate.rejected else "it was not exported"
        raise SettingsError(f"{candidate.name}: {why}")
    return Trained(folder, candidate, folder / candidate[EXPORTED].folder)


def bench(
    networks: Sequence[str | Path],
    engines: Sequence[str] = ("auto",),
    *,
    precisions: Sequence[Precision] = ("int8",),
    sizes: Sequence[tuple[int, int]] = ((360, 640),),
    batches: Sequence[int] = (1,),
    threads: int = 1,
    io: IO | None = None,
    check: bool = False,
    keep: bool = True,
) -> list[Measurement]:
    """Time networks untrained; what one engine cannot do is told in its `why`.

    Args:
        networks: as for `nas bench`: published names, winners' folders, ONNX files, `module:name`.
        io: how pictures enter and leave the files; `uint8_nhwc`, or a bundle's own, when None.
        check: ask TensorRT's parser, or its documented rules, about each file.
        keep: answer from the user's receipts, and add to them.

    Returns:
        One for each network, engine, precision, size and batch, in that order.

    Raises:
        UnknownNetwork: no network goes by one of the names.
        ValueError: no such engine or precision.
        EngineUnavailable: an engine cannot run here.
    """
    unknown = [precision for precision in precisions if precision not in PRECISIONS]
    if unknown:
        raise ValueError(f"precision is '{unknown[0]}': use {', '.join(PRECISIONS)}")
    found = [resolve(str(network), scale=None) for network in networks]
    asked = list(product(precisions, sizes, batches))
    measurements: dict[tuple[int, int, int], Measurement] = {}
    for e, name in enumerate(engines):
        receipts = receipts_path() if keep else None
        opened, _ = open_bench(name, threads=threads, receipts=receipts)
        with opened as one:
            for n, network in enumerate(found):
                for f, wanted in enumerate(asked):
                    form = Form(*wanted, io or network.own.io)
                    measurements[n, e, f] = measurement_of(
                        network, form, one, Questions(check=check)
                    )
    return [measurements[key] for key in sorted(measurements)]


@contextmanager
def _experiment(
    folder: Path,
    space: SearchSpace,
    task: Task,
    targets: Mapping[str, Target],
    plan: Plan,
    budget: Budget,
    listeners: Sequence[Listener],
    *,
    beside: Mapping[str, Any] | None = None,
) -> Iterator[Experiment]:
    """The experiment, with its engine's children, which end with it."""
    if plan.table is not None:
        raise SettingsError("plan.table is for `nas search study.table=...`")
    parts = {"search_space": space, "task": task}
    settings: dict[Any, Any] = {
        "study": asdict(plan), "target": asdict(targets[MAIN]), "budget": asdict(budget),
        **{name: _described(part) for name, part in parts.items()}, **(beside or {}),
    }
    if further := {name: asdict(one) for name, one in targets.items() if name != MAIN}:
        settings["targets"] = further
        if plan.compiles:
            raise SettingsError("plan.screen=compile estimates for one card: leave out targets")
    try:
        require_together(targets)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    order = Order(
        folder, plan, targets, budget, settings,
        make=lambda: fitting(plan, targets, budget, space=lambda: space, task=lambda: task),
    )

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    with quiet(), ExitStack() as stack:
        try:
            made = build(order, stack, lambda *_: nullcontext(tell))
        except (ValueError, DataError, DeviceError) as error:
            raise SettingsError(str(error)) from error
        yield made


def _described(part: Any) -> dict[str, Any]:
    """A space or a task as plain data, to tell whether it is another one the next time."""
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    if not is_dataclass(part) or isinstance(part, type):
        return {"_target_": kind}
    fields: dict[str, Any] = json.loads(json.dumps(asdict(part), default=str))
    return {"_target_": kind, **fields}
