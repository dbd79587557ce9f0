"""What the trainer costs beyond forward and backward, by part.

    python benchmarks/trainer_overhead.py [--network ecbsr_m4c16] [--steps 200] [--threads 1]

Processor time of one step, median of rounds in turns, each part added to the one before:
forward and backward alone on a batch that lies ready; drawing batches; clipping, optimizer,
schedule and averaged weights in a bare loop; and the whole `fit`, its own judging left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from search_spaces.modules import build
from search_spaces.references import reference
from search_spaces.skeletons import lower
from trainers.base import Run
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.fit import fit
from trainers.optimizers import optimizer_for, parameter_groups, schedule_for
from trainers.tasks.super_resolution import SuperResolution


class Unjudged(SuperResolution):
    """Judging costs nothing, so that only training is counted."""

    def evaluate(self, run: Run) -> float:
        """No pictures are looked at."""
        return 0.0


def bare(
    network: nn.Module, task: SuperResolution, budget: Budget, steps: int, *, parts: str
) -> None:
    """A plain loop with as much of the work as `parts` names: data, update."""
    ready = task.batch(0, seed=0, size=budget.batch_size)
    optimizer = optimizer_for(parameter_groups(network, budget), budget)
    schedule = schedule_for(optimizer, budget)
    live = [p for p in network.parameters() if p.requires_grad]
    average = [p.detach().clone() for p in live]
    network.train()
    for step in range(steps):
        drawn = task.batch(step, seed=0, size=budget.batch_size) if "data" in parts else ready
        task.loss(network(drawn[0]), drawn[1]).backward()
        if "update" in parts:
            nn.utils.clip_grad_norm_(live, budget.clip_norm)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, live, 0.01)
        for parameter in live:
            parameter.grad = None


def step_ms(work: Callable[[int], object], steps: int) -> float:
    """Processor time of one step; the difference of two runs leaves starting up out."""
    began = time.process_time()
    work(steps // 4)
    short = time.process_time()
    work(steps)
    long = time.process_time()
    return ((long - short) - (short - began)) / (steps - steps // 4) * 1e3


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", default="ecbsr_m4c16")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--train", default="bundled", help="a folder of pictures")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-format", default="contiguous", help="of fit alone")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    task = Unjudged(data=Sources(arguments.train, "bundled"), crop=32)
    graph = lower(reference(arguments.network, 2))
    # Long enough that neither of the two runs reaches the end of the schedule.
    budget = Budget(
        max_steps=10**6, batch_size=arguments.batch, learning_rate=1e-4,
        memory_format=arguments.memory_format,
    )  # fmt: skip

    def looped(parts: str) -> Callable[[int], object]:
        network = build(graph, seed=0)
        return lambda steps: bare(network, task, budget, steps, parts=parts)

    def trained(steps: int) -> object:
        return fit(build(graph, seed=0), task, budget, seed=0, until_step=steps)

    works = {
        "forward and backward": looped(""),
        "+ batches": looped("data"),
        "+ clip, optimizer, schedule, average": looped("data update"),
        "fit": trained,
    }
    # In turns, so that a machine that is slower for a while is so for all of them.
    seen: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(arguments.rounds):
        for name, work in works.items():
            seen[name].append(step_ms(work, arguments.steps))
    least = seen["forward and backward"]
    print(f"{arguments.network}, {arguments.batch} crops of 32, {arguments.threads} thread(s)")
    for name, found in seen.items():
        more = statistics.median(f / first - 1 for f, first in zip(found, least, strict=True))
        print(f"{name:40s} {statistics.median(found):8.2f} ms   {more:+7.1%}")


if __name__ == "__main__":
    main()
