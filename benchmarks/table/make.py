"""Make the table of networks that policies are compared on, and forecasts begin with.

    python benchmarks/table/make.py work <folder> &     # one process a core; again carries on
    python benchmarks/table/make.py long <folder> --train <photographs> &
    python benchmarks/table/make.py pack <folder>       # what is there -> x2.json beside this

A new folder begins with what x2.json holds.

Each network is timed untrained in int8 and fp32, trained once on the bundled pictures with the
quick budget's recipe and looked at every 50 steps. The spaces' starting points, and every second
one of the others that is within 50 ms and reached 30 dB (and a few more), are also trained as one
would for a product: 6,000 steps with the loss of the luma on
many photographs (the packed table: 399 of BSDS500, T91, 80 of Sun and Hays, halved), and
judged on the same twelve pictures. Which networks, and in which order, follows from the spaces'
yaml alone. Processes share the folder: a network belongs to whoever makes its lock file first.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import OmegaConf

from latency_models.engines.ov import OpenVINOEngine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from nas.networks import rules_for
from nas.receipts import SCREENING
from search_spaces.base import Architecture
from search_spaces.draws import draw
from search_spaces.modules import build
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.vary import mutate
from trainers.base import Diverged, Task
from trainers.budget import Budget
from trainers.fit import fit, scores_of

HERE = Path(__file__).parent
PACKED = HERE / "x2.json"
LONG_EVERY, LONG_MS, LONG_DB = 2, 50.0, 30.0
LOOK_EVERY = 50
LONG_RECIPE = (
    "task/loss=luma", "task.multiple=1", "budget=thorough", "budget.max_steps=6000",
    "budget.batch_size=8", "budget.judge_every=0",
)  # fmt: skip
SLOWEST_MS = 60.0
HEIGHT, WIDTH = 360, 640


def networks(spaces: list[Any]) -> Iterator[tuple[str, dict[str, Any], Architecture]]:
    """Different networks without end: (space, choices, architecture).

    The spaces' starting points first; then in turns a random one of the default space, one of it
    that keeps the picture's size, a starting point with up to six choices changed, and a random
    one of the wide space.
    """
    (_, default), (_, wide) = spaces
    seen: set[str] = set()
    seed = 0
    for start in default.start:
        drawn = draw(default, seed=0, wanted=start)
        seen.add(lower(drawn.architecture).canonical_hash())
        yield "super_resolution", dict(drawn.choices), drawn.architecture
    while True:
        seed += 1
        kind = ("random", "full", "mutant", "wide")[seed % 4]
        space, name = (wide, "super_resolution_wide") if kind == "wide" else (
            default, "super_resolution")
        drawn = draw(space, seed=seed, wanted={"reduction": "none"} if kind == "full" else None)
        if kind == "mutant":
            dice = random.Random(seed)
            choices = draw(space, seed=0, wanted=dice.choice(space.start)).choices
            for change in range(dice.randint(1, 6)):
                choices = mutate(space, choices, seed=seed * 10 + change).choices
            drawn = draw(space, seed=0, wanted=choices)
        graph = lower(drawn.architecture).canonical_hash()
        if graph not in seen:
            seen.add(graph)
            yield name, dict(drawn.choices), drawn.architecture


def work(folder: Path, count: int) -> None:
    """Take networks that nobody has until so many are trained."""
    torch.set_num_threads(1)
    _unpack(folder)
    config, spaces = _composed()
    task, budget = instantiate(config.task), instantiate(config.budget)
    with IsolatedLatency(partial(MeasuredLatency, OpenVINOEngine(), SCREENING)) as latency:
        for number, (space, choices, architecture) in enumerate(networks(spaces)):
            if len(list(folder.glob("*.trained"))) >= count:
                break
            entry = {"number": number, "space": space, "choices": choices,
                     "architecture": architecture.to_json()}
            with _owned(folder / f"{number:05d}.json") as path:
                if path is not None:
                    _examine(path, entry, architecture, latency, task, budget)


def long(folder: Path, train: Path) -> None:
    """Train for long those among the trained ones that nobody has."""
    torch.set_num_threads(1)
    _unpack(folder)
    config, spaces = _composed()
    judges: Task = instantiate(config.task)
    with initialize_config_module("conf", version_base="1.3"):
        real = compose("config", [f"task.data.train='{train}'", *LONG_RECIPE])
    task, budget = instantiate(real.task), instantiate(real.budget)
    starts = len(spaces[0][1].start)
    for path in sorted(folder.glob("?????.json")):
        entry = json.loads(path.read_text())
        reached = entry.get("quick", {}).get("metric")
        if reached is None or "long" in entry or int(path.stem) >= starts and (
            int(path.stem) % LONG_EVERY or entry["int8_ms"] > LONG_MS or reached < LONG_DB
        ):
            continue
        with _owned(path) as owned:
            if owned:
                architecture = Architecture.from_json(entry["architecture"])
                entry["long"] = _train(architecture, task, budget, judges)
                _write(path, entry)


def _composed() -> tuple[Any, list[tuple[str, Any]]]:
    """What a search runs by default, and the two spaces that networks are drawn from."""
    names = ("super_resolution", "super_resolution_wide")
    with initialize_config_module("conf", version_base="1.3"):
        configs = [compose("config", [f"search_space={name}"]) for name in names]
    return configs[0], [(name, instantiate(c.search_space, _convert_="all"))
                        for name, c in zip(names, configs, strict=True)]


@contextmanager
def _owned(path: Path) -> Iterator[Path | None]:
    """The path, or nothing where another process is at it."""
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield path


def _unpack(folder: Path) -> None:
    """Let a new folder begin with what the packed table holds already."""
    if folder.exists() or not PACKED.exists():
        folder.mkdir(parents=True, exist_ok=True)
        return
    folder.mkdir(parents=True)
    for entry in json.loads(PACKED.read_text())["networks"]:
        path = folder / f"{entry['number']:05d}.json"
        _write(path, entry)
        if "metric" in entry.get("quick", {}):
            path.with_suffix(".trained").touch()


def _examine(
    path: Path, entry: dict[str, Any], architecture: Architecture, latency: IsolatedLatency,
    task: Task, budget: Budget,
) -> None:
    """Bring one network as far as it goes; each step is written down when it is done."""
    if path.exists():
        entry = json.loads(path.read_text())
    if "int8_ms" not in entry:
        for precision in ("int8", "fp32"):
            onnx = untrained(lower(architecture), precision=precision, height=HEIGHT, width=WIDTH,
                             rules=rules_for("openvino"))
            report = latency.measure(onnx, precision)
            entry[f"{precision}_ms"] = report.median_ms
            entry[f"{precision}_verdict"] = report.verdict
        entry["processor"] = report.to_json().get("device")
        _write(path, entry)
    if entry["int8_ms"] > SLOWEST_MS:
        return
    if "quick" not in entry:
        curve: list[tuple[int, float]] = []
        found = _train(architecture, task, replace(budget, judge_every=LOOK_EVERY), task,
                       lambda step, metric: curve.append((step, round(metric, 4))))
        entry["quick"] = {"curve": curve, **found}
        _write(path, entry)
        path.with_suffix(".trained").touch()


def _train(
    architecture: Architecture, task: Task, budget: Budget, judges: Task,
    judged: Callable[[int, float], None] | None = None,
) -> dict[str, Any]:
    """Train on one task and judge by another one's pictures."""
    network = build(lower(architecture), seed=0, int8=True)
    began = time.process_time()
    try:
        fit(network, task, budget, seed=0, judged=judged)
    except Diverged as error:
        return {"diverged": str(error)}
    seconds = time.process_time() - began
    scores = scores_of(network, judges)
    return {"metric": sum(scores) / len(scores), "train_s": round(seconds, 1),
            "scores": [round(score, 3) for score in scores]}


def _write(path: Path, entry: dict[str, Any]) -> None:
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(entry))
    aside.replace(path)


def pack(folder: Path) -> None:
    """Write everything that was found into one file, a network a line."""
    entries = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    with initialize_config_module("conf", version_base="1.3"):
        config = OmegaConf.to_container(compose("config"), resolve=True)
        task = instantiate(config["task"])
    settings = {group: config[group] for group in ("task", "budget")}
    about = {"height": HEIGHT, "width": WIDTH, "threads": 1, "engine": "openvino",
             "slowest_ms": SLOWEST_MS, "baseline": task.baseline(),
             "pictures": [e.name for e in task.examples()], "metric": asdict(task.metric),
             "settings": settings}
    head, *lines = (json.dumps(part, separators=(",", ":")) for part in (about, *entries))
    body = ",\n".join(lines)
    PACKED.write_text(f'{{"about":{head},\n"networks":[\n{body}\n]}}\n')
    trained = sum("metric" in e.get("quick", {}) for e in entries)
    long = sum("metric" in e.get("long", {}) for e in entries)
    print(f"{PACKED}: {len(entries)} timed, {trained} trained, {long} of them for long, "
          f"{PACKED.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=["work", "long", "pack"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300, help="networks to train")
    parser.add_argument("--train", type=Path, help="photographs for those that train for long")
    asked = parser.parse_args()
    if asked.verb == "work":
        work(asked.folder, asked.count)
    elif asked.verb == "pack":
        pack(asked.folder)
    elif asked.train is None:
        parser.error("long: --train <photographs> is needed")
    else:
        long(asked.folder, asked.train)
