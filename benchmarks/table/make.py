"""Make the table of networks that policies are compared on, and forecasts begin with.

    python benchmarks/table/make.py work <folder> &     # one process a core; again carries on
    python benchmarks/table/make.py pack <folder>       # what is there -> x2.json beside this

A new folder begins with what x2.json holds.

Each network is timed untrained in int8 and fp32, trained once on the bundled pictures with the
quick budget's recipe and looked at every 50 steps; every fifth one also with 6,000 steps. Which
networks, and in which order, follows from the spaces' yaml alone. Processes share the folder: a
network belongs to whoever makes its lock file first.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import random
from collections.abc import Iterator
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
from nas.stages import SCREENING
from search_spaces.base import Architecture
from search_spaces.draws import draw
from search_spaces.modules import build
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.vary import mutate
from trainers.base import Diverged, Task, TrainReport
from trainers.budget import Budget
from trainers.fit import fit

HERE = Path(__file__).parent
PACKED = HERE / "x2.json"
LONG_EVERY = 5
LOOK_EVERY, LONG_STEPS, LONG_LOOK_EVERY = 50, 6000, 150
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
    """Take networks that nobody has until there are enough; then those that train for long."""
    torch.set_num_threads(1)
    _unpack(folder)
    with initialize_config_module("conf", version_base="1.3"):
        configs = [compose("config", [f"search_space={name}"]) for name in (
            "super_resolution", "super_resolution_wide")]
        task: Task = instantiate(configs[0].task)
        budget: Budget = instantiate(configs[0].budget)
        spaces = [("", instantiate(c.search_space, _convert_="all")) for c in configs]
    with IsolatedLatency(partial(MeasuredLatency, OpenVINOEngine(), SCREENING)) as latency:
        for long in (False, True):
            for number, (space, choices, architecture) in enumerate(networks(spaces)):
                if number > 3 * count or not long and len(list(folder.glob("*.trained"))) >= count:
                    break
                if long and number % LONG_EVERY:
                    continue
                with (folder / f"{number:05d}.lock").open("w") as lock:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    path = folder / f"{number:05d}.json"
                    entry = {"number": number, "space": space, "choices": choices,
                             "architecture": architecture.to_json()}
                    if not long or path.exists():
                        _examine(path, entry, architecture, latency, task, budget, long=long)


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
    task: Task, budget: Budget, *, long: bool,
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
        entry["quick"] = _train(architecture, task, replace(budget, judge_every=LOOK_EVERY))
        _write(path, entry)
        path.with_suffix(".trained").touch()
    if long and "long" not in entry and "metric" in entry["quick"]:
        entry["long"] = _train(
            architecture, task,
            replace(budget, max_steps=LONG_STEPS, judge_every=LONG_LOOK_EVERY))
        _write(path, entry)


def _train(architecture: Architecture, task: Task, budget: Budget) -> dict[str, Any]:
    curve: list[tuple[int, float]] = []
    network = build(lower(architecture), seed=0, int8=True)
    try:
        report: TrainReport = fit(
            network, task, budget, seed=0,
            judged=lambda step, metric: curve.append((step, round(metric, 4))))
    except Diverged as error:
        return {"diverged": str(error), "curve": curve}
    return {"curve": curve, "metric": report.metric, "train_s": report.train_s,
            "scores": [round(score, 3) for score in report.scores]}


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
    parser.add_argument("verb", choices=["work", "pack"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300, help="networks to train")
    asked = parser.parse_args()
    work(asked.folder, asked.count) if asked.verb == "work" else pack(asked.folder)
