"""`nas prune`: a trained network made smaller and trained on; ends in a bundle, as `nas train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.commands import fail
from nas.commands.overrides import named, quoted, readable
from nas.commands.search import configured
from nas.commands.train import Done, bundle_line, carried_out

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from nas.experiment import Experiment

_MISSING = (
    "give the folder of a trained network, as in: nas prune runs/train/<name> ratio=0.5 "
    "(nas prune --help explains)"
)


def main(arguments: list[str]) -> int:
    """Let Hydra read the settings and prune; return the exit code."""
    if not arguments:
        return fail(_MISSING)
    first, *rest = arguments
    if first.startswith("-"):
        return configured("prune", "prune", arguments, _prune)
    if "=" in first and not Path(first).exists():
        return fail(_MISSING)
    if any(one.lstrip("+").startswith("weights=") for one in rest):
        return fail("weights are those of the network that is pruned: leave weights=... out")
    from nas.networks import CASE, UnknownNetwork
    from nas.one_network import label, trained_home, trained_in
    from trainers.base import Damaged

    folder = Path(first).expanduser()
    try:
        # Before any folder is made for it.
        trained_in(folder)
        home = trained_home(folder)
    except (UnknownNetwork, Damaged) as error:
        return fail(str(error))
    settings = {
        "network": str(home / CASE), "weights": str(home),
        "label": f"{label(str(home / CASE))}-pruned",
    }
    given = [f"{name}={quoted(value)}" for name, value in settings.items()]
    return configured("prune", "prune", [*given, *named(readable(rest))], _prune)


def _prune(config: DictConfig) -> int:
    from nas.one_network import prepared, train_one
    from nas.pruning import comparison, figures_after, figures_before
    from nas.report.describe import describe

    def work(experiment: Experiment) -> Done:
        smaller = prepared(experiment, config)
        before = figures_before(experiment, str(config.weights))
        candidate = train_one(smaller, str(config.label))
        return candidate, lambda: [
            f"{candidate.name}: {describe(candidate.architecture)}",
            *comparison(before, figures_after(experiment, candidate), experiment),
            bundle_line(candidate, experiment),
        ]

    return carried_out(config, work)
