"""One network through the corridor: timed, trained with the whole budget, quantized, exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.candidate import GIVEN, Candidate, report_in, trial_of
from nas.durable import read_record
from nas.events import Finished
from nas.evidence import TRAINED
from nas.experiment import Experiment
from nas.inputs import compare_network
from nas.kinds import meant
from nas.ledger import load_arrays
from nas.networks import ARCHITECTURE, CASE, UnknownNetwork, read_architecture
from nas.pipeline import advance
from nas.settings import SettingsError
from nas.trained import FLOAT_WEIGHTS
from nas.zoo.entries import folder_of, names
from search_spaces.base import Architecture, Chooser
from search_spaces.references import ALIASES, REFERENCES, reference, reference_named
from search_spaces.skeletons import lower
from trainers.base import DataError, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from omegaconf import DictConfig
    from torch import nn

_USUAL_SCALE = 2
_REMEDY = "train it again, or name another one"


@dataclass(frozen=True)
class OneNetwork:
    """A search space that holds a single network.

    Attributes:
        network: a published network's name, an architecture's JSON, a bundle's folder, or the
            architecture itself.
        scale: output size over input size.
    """

    network: str | Architecture
    scale: int
    start: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Refuse what is no network, or enlarges by another factor.

        Raises:
            UnknownNetwork: the message says what can be named.
        """
        enlarges = self.architecture.scale
        if enlarges != self.scale:
            name = getattr(self.network, "id", self.network)
            raise UnknownNetwork(
                f"{name} enlarges by {enlarges}, the task by {self.scale}: "
                f"give task.scale={enlarges}"
            )

    @property
    def architecture(self) -> Architecture:
        """The network as blocks."""
        if isinstance(self.network, Architecture):
            return self.network
        return architecture_named(self.network, scale=self.scale)

    def propose(self, chooser: Chooser) -> Architecture:
        """There is nothing to choose."""
        return self.architecture


def architecture_named(spec: str, *, scale: int | None) -> Architecture:
    """The architecture that was named, in a form that can be trained.

    Args:
        spec: a published network's name, an architecture's or a candidate's JSON, or the folder
            of a winner.
        scale: of a published network; None for any that it exists at.

    Raises:
        UnknownNetwork: nothing that can be trained goes by this name.
        InvalidArchitecture: the published network does not exist at this scale.
    """
    if spec in REFERENCES or spec in ALIASES:
        return reference(spec, scale or reference_named(spec).nearest_scale(_USUAL_SCALE))
    path = folder_of(spec) or Path(spec).expanduser()
    if (path / ARCHITECTURE).is_file():
        return read_architecture(path / ARCHITECTURE)
    if path.is_file() and path.suffix == ".json":
        return read_architecture(path)
    why = f"there is no '{spec}'{meant(spec, [*REFERENCES, *ALIASES, *names()])}"
    if path.suffix in (".json", ".onnx") or len(path.parts) > 1:
        why = f"there is no file or folder {path}"
    if path.is_file():
        why = f"{path} holds no architecture: other files can be timed (nas bench), not trained"
    elif path.is_dir():
        why = f"{path} has no {ARCHITECTURE}"
    raise UnknownNetwork(
        f"{why}: give an architecture's JSON, a winner's folder, or a published network "
        f"({', '.join(sorted(REFERENCES))})"
    )


def label(spec: str) -> str:
    """What a network is called in folders and reports, from how it was named."""
    if spec in REFERENCES or spec in ALIASES:
        return spec
    path = Path(spec).expanduser().resolve()
    name = path.parent.name if path.name in (ARCHITECTURE, "case.json") else path.stem
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    # A search's proposals are called trial-<number>; this one is compared, not searched.
    return f"of-{kept}" if trial_of(kept) is not None else kept


def trained_home(folder: Path) -> Path:
    """The candidate's folder that holds the trained network.

    Args:
        folder: that folder itself, a winner's, or that of a run with a single network.

    Raises:
        UnknownNetwork: there is none, or more than one.
    """
    if not folder.is_dir():
        raise UnknownNetwork(f"there is no folder {folder}: give that of a trained network")
    homes = [folder, *sorted(folder.glob("candidates/*"))]
    if (folder / ARCHITECTURE).is_file() and (folder / CASE).is_file():
        name = read_record(folder / CASE, lambda case: str(case["name"]), remedy=_REMEDY)
        homes = [folder.resolve().parents[1] / "candidates" / name]
    found = [home for home in homes if (home / FLOAT_WEIGHTS).is_file()]
    if len(found) != 1:
        raise UnknownNetwork(
            f"{folder} holds {len(found)} trained networks, one is needed: give the folder of a "
            "run of nas train, or <study>/candidates/<name> or <study>/winners/<id> of a search"
        )
    return found[0]


def trained_in(folder: Path) -> tuple[Architecture, dict[str, NDArray[np.float32]]]:
    """The trained network of a folder, as `trained_home` finds it.

    Raises:
        UnknownNetwork: there is none, or more than one.
    """
    home = trained_home(folder)
    sha256 = read_record(home / CASE, _weights_sha256, remedy=_REMEDY)
    weights = load_arrays(home / FLOAT_WEIGHTS, sha256=sha256)
    return read_architecture(home / CASE), weights


def _weights_sha256(case: Any) -> str:
    trained = report_in(case, TRAINED)
    return trained.weights_sha256 if trained else ""


def teacher_in(folder: Path, task: Task) -> nn.Module:
    """The trained network in a folder, to be imitated.

    Raises:
        UnknownNetwork: there is none, or it does something else than the task.
    """
    from search_spaces.modules import build, load_weights

    architecture, weights = trained_in(folder)
    theirs, mine = architecture.signature, task.signature
    if theirs != mine:
        raise UnknownNetwork(
            f"the teacher in {folder} enlarges {theirs.inputs[0].channels} channels by "
            f"{theirs.scale}, the task {mine.inputs[0].channels} by {mine.scale}: name another one"
        )
    network = build(lower(architecture), seed=0)
    try:
        load_weights(network, weights)
    except ValueError as error:
        raise UnknownNetwork(f"{folder}: {error}") from error
    return network.eval()


def taught(experiment: Experiment, folder: str, weight: float) -> Experiment:
    """The experiment with a teacher whose output is imitated in every training.

    Raises:
        UnknownNetwork: there is no such teacher.
        ValueError: the weight is not positive.
    """
    from trainers.distill import Distillation, TermWeights

    teacher = teacher_in(Path(folder).expanduser(), experiment.task)
    weights = TermWeights(output=weight)
    return replace(experiment, teacher=lambda: Distillation(teacher, weights=weights))


def begun(experiment: Experiment, folder: str) -> Experiment:
    """The experiment with trained weights to begin from.

    From a network of another scale all but the last layers are taken.

    Raises:
        UnknownNetwork: there is no such network, or it has other blocks.
    """
    from nas.report.describe import describe
    from search_spaces.initial import last_layers
    from search_spaces.modules import Network, load_some_weights, require_weights

    assert isinstance(experiment.space, OneNetwork)
    mine = experiment.space.architecture
    theirs, weights = trained_in(Path(folder).expanduser())
    alike = [
        (a.skeleton, a.signature.inputs, a.out_channels, a.blocks) for a in (theirs, mine)
    ]
    if theirs != mine and (theirs.scale == mine.scale or alike[0] != alike[1]):
        raise UnknownNetwork(
            f"{folder} holds another network ({describe(theirs)}): weights fit the network that "
            f"they were trained in, here {describe(mine)}"
        )
    last: set[str] = set()
    if theirs.scale != mine.scale:
        last = {f"n{index}" for index in last_layers(lower(theirs))}
        weights = {key: value for key, value in weights.items() if key.split(".")[0] not in last}
    try:
        require_weights(Network(lower(theirs)), weights, without=last)
        load_some_weights(Network(lower(mine)), weights)
    except ValueError as error:
        raise UnknownNetwork(f"{folder}: {error}") from error
    return replace(experiment, weights=weights)


def prepared(experiment: Experiment, config: DictConfig) -> Experiment:
    """With the weights to begin from, pruned or whole, and the teacher that the settings name.

    Raises:
        SettingsError: says why one of them does not fit.
    """
    try:
        if "ratio" in config:
            from nas.pruning import pruned, pruning_of

            experiment = pruned(experiment, str(config.weights), pruning_of(config))
        elif config.weights is not None:
            experiment = begun(experiment, str(config.weights))
        if config.teacher is not None:
            experiment = taught(experiment, str(config.teacher), float(config.teacher_weight))
        for role in ("weights", "teacher"):
            if (source := config[role]) is not None:
                network = trained_in(Path(str(source)).expanduser())
                compare_network(experiment.folder, role, str(source), network)
    except (ValueError, DataError) as error:
        raise SettingsError(str(error)) from error
    return experiment


def train_one(experiment: Experiment, name: str) -> Candidate:
    """Take the space's only network through every stage; a second call carries on.

    Raises:
        BrokenMachine: the device keeps failing.
    """
    assert isinstance(experiment.space, OneNetwork)
    candidate = experiment.ledger.load(name)
    if candidate is None:
        candidate = Candidate(name, GIVEN, experiment.space.architecture)
    for stage in experiment.stages:
        if candidate.has(stage.evidence):
            experiment.tell(Finished(candidate, stage, again=True))
    return advance(candidate, experiment, upto=experiment.stages[-1].evidence)
