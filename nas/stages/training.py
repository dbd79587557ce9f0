"""What the stages that train have in common: the training, its checkpoints, the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from latency_models.device import each_wait_once, shared
from nas import extras
from nas.candidate import Candidate
from nas.events import Judged, Step, Tick
from nas.evidence import QUANTIZED, TRAINED, Evidence
from nas.experiment import Experiment
from search_spaces.skeletons import lower
from trainers.base import Judged as Look
from trainers.base import Progress, TrainReport
from trainers.budget import Budget

if TYPE_CHECKING:
    from search_spaces.modules import Network
    from trainers.watching import Extras

_TRAINING = "training.ckpt"
FINE_TUNING = "quantized.ckpt"


def drop_checkpoints(candidate: Candidate, experiment: Experiment, *, over: bool = False) -> None:
    """Remove the checkpoints of stages whose evidence is saved; all of them when it is `over`."""
    home = experiment.ledger.home(candidate.name)
    ended = over or candidate.rejected is not None
    if ended or candidate.has(TRAINED):
        (home / _TRAINING).unlink(missing_ok=True)
    if ended or candidate.has(QUANTIZED):
        for file in home.glob(f"*{FINE_TUNING}"):
            file.unlink(missing_ok=True)


def full_training(
    candidate: Candidate, experiment: Experiment, budget: Budget, *, until_step: int | None = None
) -> tuple[Network, TrainReport]:
    """Train with the whole budget, from where this was left; returns the network as it is then.

    Args:
        until_step: where to leave it; None for the end.

    Raises:
        Diverged: the training broke down.
    """
    from search_spaces.branches import is_branched
    from search_spaces.modules import build, load_some_weights
    from trainers.fit import fit

    network = build(
        lower(candidate.architecture),
        seed=experiment.plan.seed,
        branches=budget.branches,
        norm=budget.norm,
        int8=experiment.target.precision == "int8",
    )
    if budget.branches != "none" and not any(map(is_branched, network.layers.values())):
        note = f"branches={budget.branches}: nothing in this network takes them, it trains without"
        experiment.note(note)
    if experiment.weights is not None:
        load_some_weights(network, experiment.weights)
    with (
        giving_way(candidate, experiment, TRAINED) as progress,
        beside(candidate, experiment, TRAINED) as made,
    ):
        report = fit(
            network,
            experiment.task,
            budget,
            seed=experiment.plan.seed,
            until_step=until_step,
            checkpoint=experiment.ledger.home(candidate.name) / _TRAINING,
            progress=progress,
            judged=looks(candidate, experiment, TRAINED) if until_step is None else None,
            teacher=experiment.teacher() if experiment.teacher else None,
            extras=made,
        )
    return network, report


@contextmanager
def giving_way(
    candidate: Candidate, experiment: Experiment, training: Evidence[Any]
) -> Iterator[Progress]:
    """Training holds a share of each device and hands it back whenever it tells its progress.

    So no other search on this machine times a network while this one trains. And there a worker
    may end, for the checkpoint is written then.
    """
    waits = each_wait_once(experiment.note, tick=lambda: experiment.tell(Tick()))
    devices = sorted({rig.device for rig in experiment.rigs.values() if rig.device})
    with ExitStack() as share:

        def hold() -> None:
            for device in devices:
                share.enter_context(shared(device, notice=waits))

        def progress(done: int, total: int, loss: float) -> None:
            share.close()
            experiment.tell(Step(candidate, training, done, total, loss))
            experiment.workers.safe_point()
            hold()

        hold()
        yield progress


def beside(
    candidate: Candidate, experiment: Experiment, training: Evidence[Any]
) -> AbstractContextManager[Callable[[], Extras] | None]:
    """What makes the callbacks and the logger that the settings name, for this training."""
    return extras.beside(
        experiment.extras,
        candidate=candidate.name,
        training=training.name,
        folder=experiment.ledger.home(candidate.name),
    )


def looks(candidate: Candidate, experiment: Experiment, training: Evidence[Any]) -> Look:
    """What a training calls when it has looked at its metric."""
    return lambda step, metric: experiment.tell(Judged(candidate, training, step, metric))
