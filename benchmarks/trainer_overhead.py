"""What the trainer costs beyond forward and backward, by part.

    python benchmarks/trainer_overhead.py [--network ecbsr_m4c16] [--rounds 60] [--threads 1]

Processor time of one step, each part added to the one before: forward and backward alone on a
batch that lies ready; drawing batches; clipping, optimizer, schedule and averaged weights in a
bare loop; and the whole `fit`, its own judging left out. The four train side by side, ten steps
(one period of SOAP) each in turn, so that a machine that is slower for a while is so for all.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

from runtime.signature import INPUT, OUTPUT
from search_spaces.modules import build
from search_spaces.references import reference
from search_spaces.skeletons import lower
from trainers.base import Batch, Run
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.fit import fit
from trainers.optimizers import optimizer_for, parameter_groups, schedule_for
from trainers.tasks.super_resolution import SuperResolution


class Turns:
    """Lets one of several threads run at a time, each for as many steps as a turn is long."""

    def __init__(self, names: Sequence[str], length: int) -> None:
        """The first name begins."""
        self.seen: dict[str, list[float]] = {name: [] for name in names}
        self._length = length
        self._steps = dict.fromkeys(names, 0)
        self._began = dict.fromkeys(names, 0.0)
        self._may_run = {name: threading.Semaphore(0) for name in names}
        self._next = dict(zip(names, [*names[1:], names[0]], strict=True))
        self._may_run[names[0]].release()

    def run(self, name: str, work: Callable[[], object]) -> None:
        """Do the work of one name; it calls `step` before each of its steps."""
        threading.current_thread().name = name
        self._may_run[name].acquire()
        try:
            work()
        finally:
            after = self._next.pop(name)
            self._next = {n: after if then == name else then for n, then in self._next.items()}
            self._may_run[after].release()

    def step(self) -> None:
        """Note the time of a turn that is over, in ms a step, and let the next one run."""
        name = threading.current_thread().name
        if self._steps[name] % self._length == 0:
            if self._steps[name]:
                took = time.process_time() - self._began[name]
                self.seen[name].append(took / self._length * 1e3)
            self._may_run[self._next[name]].release()
            self._may_run[name].acquire()
            self._began[name] = time.process_time()
        self._steps[name] += 1


class TakingTurns(SuperResolution):
    """Every batch is a step; judging costs nothing, so that only training is counted."""

    turns: Turns

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """A batch, when it is this thread's turn."""
        self.turns.step()
        return super().batch(step, seed=seed, size=size, device=device)

    def scores(self, run: Run) -> tuple[float, ...]:
        """No pictures are looked at."""
        return (0.0,)


def bare(
    network: nn.Module, task: TakingTurns, budget: Budget, steps: int, *, parts: str
) -> None:
    """A plain loop with as much of the work as `parts` names: data, update."""
    ready = SuperResolution.batch(task, 0, seed=0, size=budget.batch_size)
    optimizer = optimizer_for(parameter_groups(network, budget), budget)
    schedule = schedule_for(optimizer, budget)
    live = [p for p in network.parameters() if p.requires_grad]
    average = [p.detach().clone() for p in live]
    network.train()
    for step in range(steps):
        if "data" in parts:
            drawn = task.batch(step, seed=0, size=budget.batch_size)
        else:
            task.turns.step()
            drawn = ready
        task.loss({OUTPUT: network(drawn.inputs[INPUT])}, drawn).backward()
        if "update" in parts:
            nn.utils.clip_grad_norm_(live, budget.clip_norm)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, live, 0.01)
        for parameter in live:
            parameter.grad = None


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", default="ecbsr_m4c16")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--turn", type=int, default=10, help="steps")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--train", default="bundled", help="a folder of pictures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-format", default="contiguous", help="of fit alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    task = TakingTurns(data=Sources(arguments.train, "bundled"), crop=32)
    graph = lower(reference(arguments.network, 2))
    budget = Budget(
        max_steps=10**6, batch_size=arguments.batch, learning_rate=1e-4,
        memory_format=arguments.memory_format,
    )  # fmt: skip
    # The first round warms up; one step more ends the last turn.
    steps = (arguments.rounds + 1) * arguments.turn + 1

    def looped(parts: str) -> Callable[[], object]:
        return lambda: bare(build(graph, seed=0), task, budget, steps, parts=parts)

    def trained() -> object:
        return fit(build(graph, seed=0), task, budget, seed=0, until_step=steps)

    works = {
        "forward and backward": looped(""),
        "+ batches": looped("data"),
        "+ clip, optimizer, schedule, average": looped("data update"),
        "fit": trained,
    }
    task.turns = turns = Turns(list(works), arguments.turn)
    with ThreadPoolExecutor(
        len(works), initializer=torch.set_num_threads, initargs=(arguments.threads,)
    ) as pool:
        for done in [pool.submit(turns.run, name, work) for name, work in works.items()]:
            done.result()
    seen = {name: np.array(found[1:]) for name, found in turns.seen.items()}
    least = seen["forward and backward"]
    print(f"{arguments.network}, {arguments.batch} crops of 32, {arguments.threads} thread(s)")
    print(f"{'':40s} {'ms a step':>9s}   more: median, quartiles")
    for name, found in seen.items():
        low, middle, high = np.quantile(found / least - 1, [0.25, 0.5, 0.75])
        print(
            f"{name:40s} {np.median(found):9.2f}   {middle:+7.1%}  ({low:+.1%} to {high:+.1%})"
        )


if __name__ == "__main__":
    main()
