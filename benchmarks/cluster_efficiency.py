"""What sharing a study costs: efficiency from 1 to 4 workers, and bookkeeping per trial.

    python benchmarks/cluster_efficiency.py                          a journal file
    FREEWAY_STORAGE_URL=postgresql://... python benchmarks/cluster_efficiency.py --postgres

Workers are processes that draw real proposals and tell real outcomes; the work between is a sleep
(efficiency) or nothing (bookkeeping). Their start is not counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.storage import StorageSettings, open_storage
from nas.study import Study
from nas.workers.claims import Claims
from nas.workers.roster import Pace, Worker
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.work import gmacs
from trainers.base import Metric, TrainReport

SPACE = SuperResolutionSpace()
METRIC = Metric("psnr_y", "dB", "max")
RECEIPT = LatencyReport(
    median_ms=1.0, p5_ms=1.0, p95_ms=1.0, p99_ms=1.0, ci_low_ms=1.0, ci_high_ms=1.0, samples=1,
    warmup_s=0.0, clock="cpu", wall_median_ms=1.0, cpu_median_ms=1.0, batch_size=1,
    input_shape=(1, 3, 360, 640), precision="int8", engine="none", engine_version="0",
    device="none", threads=1, build_s=0.0, peak_memory_mib=0.0, engine_bytes=0, layers_before=1,
    layers_after=1, onnx_sha256="0" * 64, drift=0.0, verdict="ok",
)


def examined(candidate: Candidate) -> Candidate:
    """Evidence that follows from the network, as a search would have found it."""
    work = gmacs(lower(candidate.architecture), 360, 640)
    return replace(
        candidate,
        screened=replace(RECEIPT, median_ms=10 * work),
        probed=TrainReport(30 + work**0.3, METRIC.name, 100, 1.0),
    )


def opened(folder: Path, url: str | None, name: str) -> Study:
    """The shared study."""
    settings = StorageSettings(url)
    storage = open_storage(settings, folder, notice=print)
    return Study(storage, name=name, seed=0, metric=METRIC, patience_s=60)


def work(
    number: int, folder: Path, url: str | None, name: str, each_s: float,
    start: Barrier, ends: Any,
) -> None:
    """One worker, from the common start until nothing is left."""
    study = opened(folder, url, name)
    me = Worker.this_process(number, code="", now=time.time())
    with Claims(folder, me, Pace(poll_s=0.1)) as workers:
        start.wait()
        while (candidate := study.next(SPACE, workers)) is not None or not study.is_over(workers):
            if candidate is None:
                workers.wait()
                continue
            after = examined(candidate)
            time.sleep(each_s)
            study.tell(after)
            workers.release(candidate.name)
        ends.put(time.monotonic())


def run(workers: int, *, trials: int, each_s: float, url: str | None) -> float:
    """Wall seconds from the common start to the last end."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        name = f"bench-{os.getpid()}-{time.time_ns()}"
        study = opened(Path(folder), url, name)
        study.allot(trials, code="")
        start, ends = context.Barrier(workers + 1), context.Queue()
        processes = [
            context.Process(
                target=work, args=(n, Path(folder), url, name, each_s, start, ends)
            )
            for n in range(workers)
        ]
        for process in processes:
            process.start()
        start.wait()
        began = time.monotonic()
        ended = [ends.get() for _ in processes]
        for process in processes:
            process.join()
        return max(ended) - began


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", action="store_true", help="at FREEWAY_STORAGE_URL")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--sleep", type=float, default=2.0, metavar="S")
    options = parser.parse_args()
    url = os.environ["FREEWAY_STORAGE_URL"] if options.postgres else None
    print(f"storage: {'PostgreSQL' if url else 'journal file'}, {options.trials} trials")
    print(f"\nworkers  wall_s  efficiency   (trials that wait {options.sleep:g} s)")
    first_s = 0.0
    for workers in options.workers:
        wall_s = run(workers, trials=options.trials, each_s=options.sleep, url=url)
        first_s = first_s or wall_s * workers
        print(f"{workers:7d}  {wall_s:6.1f}  {first_s / (workers * wall_s):10.2f}", flush=True)
    print("\nworkers  trials/s  wall_ms per trial and worker   (trials that do nothing)")
    for workers in options.workers:
        wall_s = run(workers, trials=options.trials, each_s=0.0, url=url)
        each_ms = 1e3 * wall_s * workers / options.trials
        print(f"{workers:7d}  {options.trials / wall_s:8.1f}  {each_ms:8.0f}", flush=True)


if __name__ == "__main__":
    main()
