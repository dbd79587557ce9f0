"""Several candidates trained at once on this machine, each in a process of its own.

Networks this small keep one core busy and more cores mostly waiting, so two trainings on a core
each are through sooner than one after the other on both. The children only train; timing, judging
by the engine and every case file stay with the search, which does nothing else meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

from latency_models.base import CompileError, DeviceError
from latency_models.engines import cores
from nas.candidate import Candidate
from nas.curves import CurveWriter
from nas.events import Event, Finished, Started, Step, Tick
from nas.evidence import SCREENED, TRAINED
from nas.experiment import Experiment, Plan, Rig
from nas.extras import TrainerSettings
from nas.ledger import Ledger
from nas.stages.train import TRAIN
from nas.stages.training import drop_checkpoints
from nas.workers.base import Alone
from search_spaces.base import InvalidArchitecture
from trainers.base import Interrupted, Task
from trainers.budget import Budget

_LOOK_S = 0.2
_END_WITHIN_S = 10.0
_NOT_HERE: Any = None
"""What a training never asks for."""


@dataclass(frozen=True)
class Work:
    """What a child needs to train any candidate of the study."""

    folder: Path
    plan: Plan
    rigs: Mapping[str, Rig]
    budget: Budget
    task: Task
    threads: int
    extras: TrainerSettings


class Messages(Protocol):
    """A queue between processes."""

    def put(self, item: Step) -> None:
        """Send one."""

    def get_nowait(self) -> Step:
        """Receive one, or raise Empty."""


class _Obedient(Alone):
    """A child has no others to share with, and ends when the search does."""

    def safe_point(self, doing: str = "") -> None:
        """End here where the search asks for it; the checkpoint is then written."""
        if _child.ending.is_set():
            raise Interrupted("the search ends")


def _relay(event: Event) -> None:
    """Tell the search how far a child is."""
    if isinstance(event, Step):
        _child.messages.put(replace(event, relayed=True))


@dataclass
class _Child:
    """What this process is for, when it is a child."""

    work: Work
    messages: Messages
    ending: Any


_child: _Child


def processes_for(plan: Plan, candidates: int, *, gpu: bool) -> int:
    """How many to train at once: as the plan says, or one for each core and none more on a GPU."""
    asked = plan.training_processes
    if asked == 0:
        asked = 1 if gpu else cores()
    return max(1, min(asked, candidates))


def train_at_once(experiment: Experiment, candidates: Sequence[Candidate]) -> None:
    """Train in full all of these that were screened and are not trained yet.

    Does nothing where the plan, the machine or the number of candidates allow only one at a time.
    What a child cannot finish is left as it is, with its checkpoint, to be trained alone.
    """
    from trainers.devices import settle

    waiting = [
        c for c in candidates if c.has(SCREENED) and not c.rejected and not c.has(TRAINED)
    ]
    gpu = settle(experiment.budget).accelerator == "gpu"
    processes = processes_for(experiment.plan, len(waiting), gpu=gpu)
    if processes == 1 or experiment.teacher is not None:
        return
    threads = max(1, cores() // processes)
    rigs = {
        name: replace(rig, quick=_NOT_HERE, full=_NOT_HERE, runner=_NOT_HERE)
        for name, rig in experiment.rigs.items()
    }
    work = Work(
        experiment.folder, experiment.plan, rigs, experiment.budget, experiment.task, threads,
        experiment.extras,
    )
    experiment.note(f"training {processes} networks at once, {threads} thread(s) each")
    with _pool(work, processes) as (pool, messages):
        jobs = {pool.submit(_train, candidate): candidate for candidate in waiting}
        _collect(experiment, jobs, messages)


@contextmanager
def _pool(work: Work, processes: int) -> Iterator[tuple[ProcessPoolExecutor, Messages]]:
    """Children that are asked to end, and after a while made to, when this is left early."""
    context = multiprocessing.get_context("spawn")
    messages, ending = context.Queue(), context.Event()
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(work, messages, ending)
    )
    try:
        yield pool, messages
    except BaseException:
        ending.set()
        pool.shutdown(wait=False, cancel_futures=True)
        until = time.monotonic() + _END_WITHIN_S
        for child in set(multiprocessing.active_children()) - others:
            child.join(max(0.0, until - time.monotonic()))
            if child.is_alive():
                child.kill()
                child.join()
        raise
    else:
        pool.shutdown()
    finally:
        # What nobody reads any more must not keep this process alive.
        messages.cancel_join_thread()


def _collect(
    experiment: Experiment, jobs: dict[Future[Candidate], Candidate], messages: Messages
) -> None:
    """Write down every candidate as it is trained, and show the others meanwhile."""
    left, shown = dict(jobs), None
    while left:
        done, _ = wait(left, timeout=_LOOK_S)
        for step in _received(messages):
            name, running = step.candidate.name, {c.name: c for c in left.values()}
            if shown not in running and name in running:
                shown = name
                experiment.tell(Started(running[name], TRAIN))
            experiment.tell(step)
        experiment.tell(Tick())
        for job in done:
            candidate = left.pop(job)
            trained = _outcome(experiment, job, candidate)
            if trained is not None:
                experiment.ledger.save(trained)
                drop_checkpoints(trained, experiment)
                experiment.tell(Finished(trained, TRAIN))
                shown = None


def _received(messages: Messages) -> Iterator[Step]:
    while True:
        try:
            yield messages.get_nowait()
        except Empty:
            return


def _outcome(
    experiment: Experiment, job: Future[Candidate], candidate: Candidate
) -> Candidate | None:
    """The trained candidate, or None where it has to be tried again alone."""
    try:
        return job.result()
    except BrokenProcessPool:
        experiment.note(f"{candidate.name}: its process died; it goes on alone")
    except (CompileError, DeviceError, InvalidArchitecture) as error:
        experiment.note(f"{candidate.name}: {error}; it is tried again alone")
    return None


def _begin(work: Work, messages: Messages, ending: Any) -> None:
    """Make this process a child: it leaves interrupts to the search and dies with it."""
    import torch

    global _child
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(work.threads)
    _child = _Child(work, messages, ending)
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _train(candidate: Candidate) -> Candidate:
    """Train one candidate in this child."""
    work, ledger = _child.work, Ledger(_child.work.folder)
    return TRAIN.body(
        candidate,
        Experiment(
            folder=work.folder,
            plan=work.plan,
            rigs=work.rigs,
            budget=work.budget,
            space=_NOT_HERE,
            task=work.task,
            ledger=ledger,
            stages=(TRAIN,),
            listeners=(CurveWriter(ledger), _relay),
            workers=_Obedient(),
            extras=work.extras,
        ),
    )
