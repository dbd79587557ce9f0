"""What networks are after a real training: winners of searches beside published ones.

    python benchmarks/winners_trained.py ecbsr_m4c16 runs/<study>/winners/<id> \
        --train <photographs> --judge <Kodak24> <Set5>

Each is trained for 6,000 steps of 8 crops with the loss of the luma, all alike, on the first
folder, and judged in float by PSNR-Y on every other one, none of which training may see.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from nas.one_network import architecture_named
from search_spaces.modules import build
from search_spaces.skeletons import lower
from trainers.base import Task
from trainers.budget import Budget
from trainers.fit import fit, scores_of

RECIPE = (
    "budget=thorough", "budget.max_steps=6000", "budget.batch_size=8", "budget.judge_every=0",
)  # fmt: skip


def tasks(
    train: str, judges: list[str], *changes: str
) -> tuple[list[Task], Budget]:
    """One task for each folder to judge by, all with the same pictures to train on.

    Args:
        changes: further settings, as `task.scale=4` or `budget.max_steps=1000`.
    """
    with initialize_config_module("conf", version_base="1.3"):
        configs = [
            compose("config", [
                "task/loss=luma", f"task.data.train='{train}'", f"task.data.val='{judge}'",
                "task.multiple=1", *RECIPE, *changes,
            ])
            for judge in judges
        ]
        return [instantiate(config.task) for config in configs], instantiate(configs[0].budget)


def main(
    specs: list[str], train: str, judges: list[str], seed: int, changes: list[str]
) -> None:
    """Train every network on one thread and print what it reaches on each folder."""
    torch.set_num_threads(1)
    every, budget = tasks(train, judges, *changes)
    scale = every[0].signature.scale
    for spec in specs:
        network = build(lower(architecture_named(spec, scale=scale)), seed=seed, int8=True)
        fit(network, every[0], budget, seed=seed)
        found = [float(np.mean(scores_of(network, task))) for task in every]
        print(spec, *(f"{metric:.3f} dB" for metric in found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--train", required=True)
    parser.add_argument("--judge", nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", nargs="*", default=[], help="as task.scale=4")
    asked = parser.parse_args()
    main(asked.networks, asked.train, asked.judge, asked.seed, asked.settings)
