"""A small table whose figures follow from the networks, so that nothing has to be measured."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from search_spaces.base import Architecture
from search_spaces.draws import draw
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.work import gmacs

SPACE = SuperResolutionSpace(ops=["conv", "residual"])
STEPS = (50, 100, 200, 400, 850)
SLOWEST_MS = 60.0


def int8_ms(architecture: Architecture) -> float:
    """Ten milliseconds, and four for every billion multiply-adds."""
    return 10 + 4 * gmacs(lower(architecture), 360, 640)


def metric_at(architecture: Architecture, step: int) -> float:
    """More work, a better end, a slower way there; every network has a wobble of its own."""
    work = gmacs(lower(architecture), 360, 640) ** 0.25
    wobble = int(architecture.id, 16) % 100 / 1000
    return 29 + work + wobble - work * (1 - step / STEPS[-1]) ** 2


def train_s(architecture: Architecture) -> float:
    """Seconds of the whole training."""
    return 40 + 100 * gmacs(lower(architecture), 360, 640)


def network(number: int) -> Architecture:
    """One of the table's space."""
    return draw(SPACE, seed=number).architecture


def entry(number: int) -> dict[str, Any]:
    """One network as `make.py` writes it."""
    drawn = draw(SPACE, seed=number)
    chosen = drawn.architecture
    ms = int8_ms(chosen)
    found: dict[str, Any] = {
        "number": number, "space": "super_resolution", "choices": dict(drawn.choices),
        "architecture": chosen.to_json(), "int8_ms": ms, "int8_verdict": "ok",
        "fp32_ms": 2 * ms, "fp32_verdict": "unstable", "processor": "Some Processor",
    }
    if ms > SLOWEST_MS:
        return found
    curve = [(step, round(metric_at(chosen, step), 4)) for step in STEPS]
    metric = metric_at(chosen, STEPS[-1])
    scores = [metric - 1, metric + 1]
    quick = {"curve": curve, "metric": metric, "train_s": train_s(chosen), "scores": scores}
    return found | {"quick": quick}


@cache
def settings() -> dict[str, Any]:
    """What a search asks for when nothing is changed, as plain data."""
    with initialize_config_module("conf", version_base="1.3"):
        plain = OmegaConf.to_container(compose("config"), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def write_table(path: Path, *, count: int = 40, **changed: dict[str, Any]) -> Path:
    """A packed table; `changed` are entries in place of the made ones, by `n<number>`."""
    about = {
        "height": 360, "width": 640, "threads": 1, "engine": "openvino",
        "slowest_ms": SLOWEST_MS, "baseline": 28.5, "pictures": ["one", "two"],
        "metric": {"name": "psnr_y", "unit": "dB", "mode": "max"},
        "settings": {group: settings()[group] for group in ("task", "budget")},
    }
    networks = [changed.get(f"n{number}", entry(number)) for number in range(count)]
    text = json.dumps({"about": about, "networks": networks})
    path.write_text(text)
    return path
