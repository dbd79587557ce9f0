"""Commands of one network that end in a bundle, called in this process and without any timing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from toy_search import ScriptedLatency

from latency_models.engines.ov import OpenVINOEngine
from latency_models.measured import MeasuredLatency

SHORT = (
    "target.engine=openvino", "budget=quick", "budget.max_steps=6", "budget.quant_steps=2",
    "budget.batch_size=2", "task.crop=16", "budget.judge_every=3", "target.height=24",
    "target.width=32",
)  # fmt: skip


class UntimedEngine:
    """In place of the isolated child: the real engine's outputs, and no measuring."""

    def __init__(self, factory: Any, *, notice: Any = None) -> None:
        self._scripted, self._engine = ScriptedLatency(5.0), MeasuredLatency(OpenVINOEngine())

    def __enter__(self) -> UntimedEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to close."""

    def measure(self, onnx: bytes, precision: Any, *, limit_ms: float | None = None) -> Any:
        return self._scripted.measure(onnx, precision, limit_ms=limit_ms)

    def run(self, *asked: Any) -> Any:
        return self._engine.run(*asked)


def compose_here(folder: Path, monkeypatch: pytest.MonkeyPatch, command: ModuleType) -> None:
    """Call the command in this folder; its settings are composed here, and nothing is timed."""

    def configured(verb: str, name: str, overrides: list[str], body: Any) -> int:
        with initialize_config_module("conf", version_base="1.3"):
            return int(body(compose(name, overrides=overrides)))

    monkeypatch.chdir(folder)
    monkeypatch.setattr("nas.timers.IsolatedLatency", UntimedEngine)
    monkeypatch.setattr("nas.assemble.CachedLatency", lambda inner, path: inner)
    monkeypatch.setattr(command, "configured", configured)
