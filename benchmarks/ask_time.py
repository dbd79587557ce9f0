"""How long a policy takes to propose, by how much is known.

    OMP_NUM_THREADS=1 python benchmarks/ask_time.py             every policy and every sampler
    OMP_NUM_THREADS=1 python benchmarks/ask_time.py policy=gaussian_process sampler=nsga2

Each runs a search whose outcomes follow from the network: nothing is trained or timed. Printed is
the processor time of one `propose`, median and 95th percentile over all searches, and that of the
first one of a process that resumes, which computes again what the others had kept.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from nas.policies.base import Known, Policy, Question
from nas.policies.chosen import policy_of
from nas.spaces import own_classes
from search_spaces.skeletons import lower
from search_spaces.work import gmacs
from trainers.base import Metric

METRIC = Metric("psnr_y", "dB", "max")
LIMIT_MS = 50.0
SEARCHES, PROPOSALS = 3, 100
BANDS = ((12, 40), (60, 100))


def search(policy: Policy, space: Any, seed: int) -> tuple[list[float], list[Known]]:
    """Seconds of each question, and what was known in the end."""
    study = optuna.create_study(storage=InMemoryStorage(), directions=["maximize", "minimize"])
    took: list[float] = []
    known: list[Known] = []
    for number in range(PROPOSALS):
        question = Question(space, METRIC, LIMIT_MS, number, seed, tuple(known))
        began = time.process_time()
        proposal = policy.propose(question)
        study.sampler = proposal.sampler
        trial = study.ask()
        architecture = space.propose(trial)
        took.append(time.process_time() - began)
        graph = lower(architecture)
        work = gmacs(graph, 360, 640)
        name, latency_ms, fits = f"trial-{number:05d}", 12 + 5 * work, 12 + 5 * work <= LIMIT_MS
        wobble = int(graph.canonical_hash()[:8], 16) / 16**8 / 2
        quality = 30 + work**0.3 + wobble if fits else None
        if fits:
            study.tell(trial, [quality, latency_ms])
        else:
            trial.set_constraint("latency_ms", latency_ms / LIMIT_MS - 1)
            study.tell(trial, state=TrialState.PRUNED)
        known.append(
            Known(name, trial.params, quality, latency_ms, False, graph.canonical_hash())
        )
    return took, known


def line(name: str, seconds: Sequence[float]) -> str:
    """Median and 95th percentile in ms."""
    low, high = 1e3 * np.quantile(seconds, [0.5, 0.95])
    return f"{name}: median {low:6.1f} ms, 95% within {high:6.1f} ms"


def main(names: list[str]) -> None:
    """Print a line for each policy or sampler and band."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    conf = Path(__file__).parents[1] / "conf"
    groups = ("policy", "sampler")
    every = [f"{g}={path.stem}" for g in groups for path in sorted((conf / g).glob("*.yaml"))]
    for name in names or every:
        with initialize_config_module("conf", version_base="1.3"):
            config = compose("config", own_classes([name]))
            space = instantiate(config.search_space, _convert_="all")
        done = [search(policy_of(config), space, seed) for seed in range(SEARCHES)]
        for low, high in BANDS:
            took = [seconds for times, _ in done for seconds in times[low:high]]
            print(line(f"{name}, {low} to {high} known", took), flush=True)
        resumed = policy_of(config)
        began = time.process_time()
        resumed.propose(Question(space, METRIC, LIMIT_MS, PROPOSALS, 0, tuple(done[0][1])))
        print(f"{name}, resumed with {PROPOSALS}: {1e3 * (time.process_time() - began):.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1:])
