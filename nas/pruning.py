"""A trained network made smaller: features taken out of it, and what that has cost and brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.evidence import EXPORTED, QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.inputs import compare_network
from nas.kinds import meant
from nas.ledger import Ledger
from nas.one_network import OneNetwork, trained_home, trained_in
from nas.receipts import settled, untrained_file
from nas.report.describe import describe, figure, gain, milliseconds
from nas.settings import SettingsError
from nas.trained import engine_run, shipped_file
from search_spaces.base import Architecture, InvalidArchitecture
from search_spaces.graph import Graph
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.shrink import USUAL_MULTIPLE, Scores, narrower, weights_in
from search_spaces.skeletons import lower
from search_spaces.weights import Weights
from search_spaces.work import gmacs, params_of
from trainers.base import CRITERIA, Criterion, Damaged, DataError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from search_spaces.modules import Network


@dataclass(frozen=True)
class Pruning:
    """How much of a network goes.

    Attributes:
        ratio: share of each block's features.
        criterion: by which features those that go are told (`trainers.prune`).
        multiple: feature counts are brought to the nearest multiple of it.
    """

    ratio: float = 0.5
    criterion: Criterion = "l1"
    multiple: int = USUAL_MULTIPLE

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: says what to give.
        """
        if not 0 < self.ratio < 1:
            raise ValueError(f"ratio is {self.ratio:g}: give the share of the features that goes, "
                             "above 0 and below 1")
        if self.criterion not in CRITERIA:
            known = ", ".join(CRITERIA)
            close = meant(self.criterion, CRITERIA)
            raise ValueError(f"criterion is '{self.criterion}': use {known}{close}")
        if self.multiple < 1:
            raise ValueError(f"multiple is {self.multiple}: use 1 or more, such as 8")


def pruning_of(config: DictConfig) -> Pruning:
    """What the settings of `nas prune` ask for.

    Raises:
        ValueError: as `Pruning`.
    """
    return Pruning(float(config.ratio), config.criterion, config.multiple)


@dataclass(frozen=True)
class Figures:
    """What a network costs and what it is worth.

    Attributes:
        gmacs: multiply-adds at the target's size, in billions.
        receipt: of the file at the precision that ships.
        metric: in float.
        shipped_metric: at the precision that ships, the engine's own output; None where that is
            not known here.
    """

    params: int
    gmacs: float
    receipt: LatencyReport
    metric: float
    shipped_metric: float | None


def pruned(experiment: Experiment, folder: str, how: Pruning) -> Experiment:
    """The experiment with a narrower network, and what is left of the trained weights.

    Args:
        folder: of the trained network.

    Raises:
        UnknownNetwork: there is no trained network.
        SettingsError: nothing would go, or this network cannot be made narrower like this.
    """
    architecture, weights = trained_in(Path(folder).expanduser())
    try:
        compare_network(experiment.folder, "weights", folder, (architecture, weights))
    except DataError as error:
        raise SettingsError(str(error)) from error
    smaller = narrower(architecture, ratio=how.ratio, multiple=how.multiple)
    if smaller == architecture:
        raise SettingsError(
            f"ratio={how.ratio:g} takes nothing out of {describe(architecture)} with feature "
            f"counts in multiples of {how.multiple}: give a larger ratio or multiple=4"
        )
    scores = _scores(architecture, weights, experiment, how.criterion)
    try:
        left = weights_in(smaller, architecture, weights, scores)
    except InvalidArchitecture as error:
        raise SettingsError(
            f"{describe(architecture)} cannot be pruned to {describe(smaller)}: {error}; give "
            "another ratio or multiple=4, or train the smaller one anew (nas train)"
        ) from error
    sizes = [params_of(lower(one)) for one in (architecture, smaller)]
    experiment.note(
        f"pruned by {how.criterion}: {describe(architecture)} ({sizes[0]:,} parameters) to "
        f"{describe(smaller)} ({sizes[1]:,})"
    )
    space = OneNetwork(smaller, smaller.scale)
    return replace(experiment, space=space, weights=left)


def _scores(
    architecture: Architecture, weights: Weights, experiment: Experiment, criterion: Criterion
) -> Scores:
    """How much each channel of each learned layer matters, by node."""
    from trainers.prune import channel_scores

    network = _network(lower(architecture), weights)
    layers = {
        f"layers.n{index}": index
        for index, node in enumerate(network.graph.nodes)
        if isinstance(node, Conv | ConvTranspose) and network.weighted(index).learned
    }
    found = channel_scores(
        network, list(layers), experiment.task, criterion=criterion, seed=experiment.plan.seed
    )
    return {layers[name]: score for name, score in found.items()}


def _network(graph: Graph, weights: Weights) -> Network:
    from search_spaces.modules import build, load_weights

    network = build(graph, seed=0)
    load_weights(network, weights)
    return network.eval()


def figures_before(experiment: Experiment, folder: str) -> Figures:
    """What the network costs and is worth that is pruned, here and on this task; told too.

    So whoever sees that the smaller one is no faster need not wait for its training.

    Raises:
        Diverged: its output is not finite.
    """
    from trainers.fit import finite_scores, judge

    architecture, weights = trained_in(Path(folder).expanduser())
    metric = judge(_network(lower(architecture), weights), experiment.task)
    source = _source(experiment, trained_home(Path(folder).expanduser()))
    target, shipped = experiment.target, None
    if source is None:
        onnx = untrained_file(lower(architecture), experiment.main)
    else:
        candidate, theirs = source
        size = (target.height, target.width)
        onnx = shipped_file(candidate, theirs, target.precision, *size)
        run = engine_run(candidate, theirs)
        shipped = float(np.mean(finite_scores(run, experiment.task)))
    receipt = settled(experiment.main, onnx)
    experiment.note(
        f"before: {milliseconds(receipt.median_ms)} in {target.precision}, "
        f"{figure(experiment.task.metric, metric)} in fp32"
    )
    return _figures(architecture, experiment, receipt, metric, shipped)


def _source(experiment: Experiment, home: Path) -> tuple[Candidate, Experiment] | None:
    """The network that was pruned with its own files, where they are for this target's engine."""
    theirs = replace(experiment, ledger=Ledger(home.parents[1]))
    candidate = theirs.ledger.load(home.name)
    shipped = candidate.get(QUANTIZED) if candidate else None
    precision = experiment.target.precision
    if candidate is None or shipped is None or shipped.precision != precision:
        experiment.note(f"{home} was not brought to {precision}: before, only its float is known")
        return None
    try:
        shipped_file(candidate, theirs, precision, experiment.target.height,
                     experiment.target.width)
    except Damaged as error:
        experiment.note(f"before, only its float is known: {error}")
        return None
    return candidate, theirs


def figures_after(experiment: Experiment, candidate: Candidate) -> Figures:
    """What the exported network costs and is worth."""
    receipt, metric = candidate[EXPORTED].shipped, candidate[TRAINED].metric
    shipped = candidate[QUANTIZED].metric
    return _figures(candidate.architecture, experiment, receipt, metric, shipped)


def _figures(
    architecture: Architecture,
    experiment: Experiment,
    receipt: LatencyReport,
    metric: float,
    shipped: float | None,
) -> Figures:
    graph, target = lower(architecture), experiment.target
    work = gmacs(graph, target.height, target.width)
    return Figures(params_of(graph), work, receipt, metric, shipped)


def comparison(before: Figures, after: Figures, experiment: Experiment) -> list[str]:
    """Both side by side, a line for each figure."""
    metric, target = experiment.task.metric, experiment.target

    def share(one: float, other: float) -> str:
        return f"{100 * (other / one - 1):+.0f} %" if one else ""

    def time(receipt: LatencyReport) -> str:
        unsure = "" if receipt.verdict == "ok" else " ?"
        return f"{milliseconds(receipt.median_ms)}{unsure}"

    def worth(name: str, one: float | None, other: float | None) -> Sequence[str]:
        if one is None or other is None:
            return (name, *("-" if x is None else figure(metric, x) for x in (one, other)), "")
        change = figure(metric, gain(metric, other, one), sign=True)
        return (name, figure(metric, one), figure(metric, other), change)

    times = [one.receipt.median_ms for one in (before, after)]
    rows: list[Sequence[str]] = [
        ("", "before", "after", ""),
        ("parameters", f"{before.params:,}", f"{after.params:,}",
         share(before.params, after.params)),
        (f"GMACs, {target.width}x{target.height}", f"{before.gmacs:.3g}", f"{after.gmacs:.3g}",
         share(before.gmacs, after.gmacs)),
        (f"latency, {target.precision}", time(before.receipt), time(after.receipt),
         share(*times)),
        worth(f"{metric.name}, fp32", before.metric, after.metric),
    ]
    if target.precision != "fp32":
        name = f"{metric.name}, {target.precision}"
        rows.append(worth(name, before.shipped_metric, after.shipped_metric))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return [
        f"  {row[0]:<{widths[0]}}"
        + "".join(f"  {row[k]:>{widths[k]}}" for k in (1, 2, 3)).rstrip()
        for row in rows
    ]
