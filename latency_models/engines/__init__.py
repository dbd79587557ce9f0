"""One file per engine; the names below are imported only when they are picked."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from latency_models.base import Engine, EngineUnavailable

ENGINES: dict[str, str] = {
    "openvino": "latency_models.engines.ov:OpenVINOEngine",
    "onnxruntime": "latency_models.engines.ort:OnnxRuntimeEngine",
    "tensorrt": "latency_models.engines.trt:TensorRTEngine",
    "tensorrt_rtx": "latency_models.engines.trt_rtx:TensorRTRTXEngine",
    "inductor": "latency_models.engines.inductor:InductorEngine",
}


def is_known(name: str) -> bool:
    """Whether an engine goes by this name: one of ours, or `module:Class` of the user's own."""
    return name in ENGINES or ":" in name


def engine_class(name: str) -> type[Engine]:
    """The class behind a name.

    Raises:
        EngineUnavailable: its file needs a package that is missing, or there is no such file.
        ValueError: the file has no such class.
    """
    module_name, class_name = ENGINES.get(name, name).split(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        if name not in ENGINES:
            raise EngineUnavailable(f"engine '{name}' cannot be imported: {error}") from error
        raise EngineUnavailable(
            f"engine '{name}' needs a package that is missing ({error}): "
            f"pip install 'freeway-nas[{name}]'"
        ) from error
    if not hasattr(module, class_name):
        raise ValueError(f"engine '{name}': {module_name} has no {class_name}")
    kind: type[Engine] = getattr(module, class_name)
    return kind


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_engine(
    name: str, *, threads: int = 1, settings: Mapping[str, Any] | None = None
) -> tuple[Engine, str]:
    """The engine of this name and one sentence that says what was picked and why.

    `auto` picks TensorRT where it is installed with a GPU, else TensorRT for RTX where that runs
    on the card, else OpenVINO. A name is never answered with another engine.

    Args:
        threads: of the inference; an engine that has no such setting takes one only.
        settings: further arguments of the engine's class, by name.

    Raises:
        ValueError: the name is not known, the engine has no such setting, or this process has
            fewer cores than threads were asked for.
        EngineUnavailable: the engine cannot run here; says why and what to install.
    """
    if threads > cores():
        raise ValueError(
            f"threads is {threads}, and this process has {cores()} "
            f"core{'s' if cores() > 1 else ''}: threads without a core only wait for each other, "
            "so ask for no more"
        )
    if name == "auto":
        if settings:
            raise ValueError(f"settings {sorted(settings)} need an engine's name, not auto")
        return _pick_automatically(threads)
    if not is_known(name):
        close = get_close_matches(name, ENGINES, 1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        known = ", ".join(ENGINES)
        raise ValueError(
            f"unknown engine '{name}'{meant}: there are {known} and auto, and module:Class names "
            "one of your own"
        )
    engine = make_engine(name, threads, settings)
    reason = engine.available()
    if reason is not None:
        raise EngineUnavailable(f"engine '{name}' was asked for but cannot run here: {reason}")
    return engine, f"engine {name}, as asked for"


def _pick_automatically(threads: int) -> tuple[Engine, str]:
    reasons: dict[str, str] = {}
    for name, of_it, why in (
        ("tensorrt", 1, "it is installed and there is a GPU"),
        ("tensorrt_rtx", 1, "it runs on this card"),
        ("openvino", threads, "the default for CPUs"),
    ):
        try:
            engine = make_engine(name, of_it)
            reason = engine.available()
        except EngineUnavailable as error:
            reason = str(error)
        if reason is None:
            instead = "".join(f"; not {other}: {text}" for other, text in reasons.items())
            return engine, f"engine {name} was picked: {why}{instead}"
        reasons[name] = reason
    raise EngineUnavailable("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))


def make_engine(
    name: str, threads: int = 1, settings: Mapping[str, Any] | None = None
) -> Engine:
    """Import the engine's file and make it; whether it can run here its `available` tells.

    Raises:
        EngineUnavailable: its file needs a package that is missing.
        ValueError: it has no such setting.
    """
    settings = settings or {}
    kind = engine_class(name)
    known = inspect.signature(kind).parameters
    given = {**settings, **({"threads": threads} if "threads" in known else {})}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"engine '{name}' has no setting {unknown}: there are {sorted(known)}")
    if "threads" not in known and threads != 1:
        raise ValueError(f"engine '{name}' has no threads to set; {threads} were asked for")
    engine: Engine = kind(**given)
    return engine
