"""`nas train`: one network with a full schedule, ending in a bundle like a winner's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from nas.commands import fail
from nas.commands.guard import INTERRUPTED
from nas.commands.overrides import named, quoted, readable
from nas.commands.search import configured, terminable

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from nas.candidate import Candidate
    from nas.experiment import Experiment

Done = tuple["Candidate", Callable[[], list[str]]]
"""A network, and what is told of it where it was not rejected."""
_MISSING = "give the network to train, as in: nas train ecbsr_m4c16 (nas train --help explains)"


def main(arguments: list[str]) -> int:
    """Let Hydra read the settings and train; return the exit code."""
    if not arguments:
        return fail(_MISSING)
    first, *rest = arguments
    if first.startswith("-"):
        return configured("train", "train", arguments, _train)
    if "=" in first:
        return fail(_MISSING)
    from nas.networks import UnknownNetwork
    from nas.one_network import architecture_named, label

    try:
        # Before any folder is made for it; the settings tell the scale later.
        architecture_named(first, scale=None)
    except UnknownNetwork as error:
        return fail(str(error))
    settings = [f"network={quoted(first)}", f"label={quoted(label(first))}"]
    settings += named(readable(rest))
    return configured("train", "train", settings, _train)


def _train(config: DictConfig) -> int:
    from nas.one_network import prepared, train_one

    def work(experiment: Experiment) -> Done:
        candidate = train_one(prepared(experiment, config), str(config.label))
        return candidate, lambda: summary(candidate, experiment)

    return carried_out(config, work)


def carried_out(config: DictConfig, work: Callable[[Experiment], Done]) -> int:
    """Do something with one network, shown on the terminal, and print what came of it."""
    from rich.console import Console

    from nas.assemble import assemble
    from nas.collaborators import tracked, tracker_for
    from nas.evidence import OutsideFolder
    from nas.live.training import training_view
    from nas.pipeline import BrokenMachine
    from nas.settings import SettingsError
    from nas.tracking.trackers import track_missing
    from trainers.base import Damaged

    console = Console()
    with terminable():
        try:
            with assemble(
                config,
                watcher=lambda plan, target, task, budget: training_view(
                    console, target, task.metric, task.baseline()
                ),
            ) as experiment:
                tracker = tracker_for(config, experiment.folder)
                experiment = tracked(experiment, tracker)
                candidate, told = work(experiment)
                if tracker is not None:
                    track_missing(experiment, [candidate], tracker)
        except (SettingsError, BrokenMachine, Damaged, OutsideFolder) as error:
            return fail(str(error))
        except KeyboardInterrupt:
            print("\nstopped; the same command carries on from here", file=sys.stderr)
            return INTERRUPTED
    if candidate.rejected is not None:
        return fail(f"{candidate.name}: {candidate.rejected.reason}")
    for line in told():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def summary(candidate: Candidate, experiment: Experiment) -> list[str]:
    """What training one network has left, in a few lines."""
    from nas.evidence import EXPORTED, QUANTIZED, TRAINED
    from nas.report.describe import describe, duration, figure, milliseconds

    trained, quantized, exported = candidate[TRAINED], candidate[QUANTIZED], candidate[EXPORTED]
    metric, baseline = experiment.task.metric, experiment.task.baseline()
    shipped, plain = exported.shipped, exported.fp32
    lines = [
        f"{candidate.name}: {describe(candidate.architecture)}",
        f"  {metric.name}  {figure(metric, trained.metric)} in fp32 after {trained.steps} steps "
        f"({duration(trained.train_s)} on {trained.device}); without a network "
        f"{figure(metric, baseline)}",
    ]
    if shipped.precision != "fp32":
        lines += [
            f"  {metric.name}  {figure(metric, quantized.metric)} in {shipped.precision}, "
            f"{shipped.engine}'s own output",
        ]
    each = [plain] if shipped.precision == "fp32" else [shipped, plain]
    lines += [
        f"  latency {milliseconds(r.median_ms)} in {r.precision}"
        + ("" if r.verdict == "ok" else f" ({r.verdict})")
        for r in each
    ]
    return [*lines, bundle_line(candidate, experiment)]


def bundle_line(candidate: Candidate, experiment: Experiment) -> str:
    """Where the files are."""
    from nas.evidence import EXPORTED

    return f"  files   {experiment.folder / candidate[EXPORTED].folder}"
