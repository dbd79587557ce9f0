"""The engines that run a file here, in the order in which they are tried."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import numpy as np

from runtime.pictures import Floats

Shapes = Mapping[str, tuple[int, ...]]
"""Of each input by name, the batch among it."""
Run = Callable[[Mapping[str, Floats]], dict[str, Floats]]
"""Inputs of the compiled shapes by name -> outputs by name."""


class OneSize(ValueError):
    """The engine runs this file at its own size only; the message says which.

    Attributes:
        shapes: of each input by name, as the file has them.
    """

    def __init__(self, shapes: Shapes, wanted: Shapes, otherwise: str) -> None:
        has, asked = (
            ", ".join("x".join(map(str, s[2:] or s)) for s in each.values())
            for each in (shapes, wanted)
        )
        super().__init__(f"the file is for pictures of {has}, this one is {asked}: {otherwise}")
        self.shapes = shapes


def _openvino(onnx: bytes, shapes: Shapes, threads: int) -> Run:
    openvino = importlib.import_module("openvino")
    core = openvino.Core()
    model = core.read_model(onnx)
    has = {n: tuple(model.input(n).partial_shape.to_shape()) for n in shapes}
    if has != dict(shapes):
        try:
            model.reshape({name: list(shape) for name, shape in shapes.items()})
        except RuntimeError as error:
            why = "openvino cannot give this file another size"
            raise OneSize(has, shapes, why) from error
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    names = [output.get_any_name() for output in compiled.outputs]

    def run(values: Mapping[str, Floats]) -> dict[str, Floats]:
        found = request.infer(dict(values), share_inputs=True, share_outputs=True)
        return {name: np.array(found[k], np.float32) for k, name in enumerate(names)}

    return run


def _onnxruntime(onnx: bytes, shapes: Shapes, threads: int) -> Run:
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    has = {entry.name: tuple(entry.shape) for entry in session.get_inputs()}
    if any(
        isinstance(side, int) and side != wanted
        for name, shape in has.items()
        for side, wanted in zip(shape, shapes[name], strict=True)
    ):
        why = "onnxruntime runs it at that size only; engine='openvino' runs it at others"
        raise OneSize(has, shapes, why)
    names = [output.name for output in session.get_outputs()]

    def run(values: Mapping[str, Floats]) -> dict[str, Floats]:
        found = session.run(None, dict(values))
        return {k: np.asarray(v, np.float32) for k, v in zip(names, found, strict=True)}

    return run


ENGINES: Mapping[str, Callable[[bytes, Shapes, int], Run]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


def compiled(engine: str, onnx: bytes, shapes: Shapes, threads: int) -> Run:
    """The file compiled for one shape of each input.

    Raises:
        OneSize: the engine cannot run it at this size.
        ValueError: the engine is not known, or not installed.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is '{engine}': use {' or '.join(ENGINES)}")
    try:
        return ENGINES[engine](onnx, shapes, threads)
    except ImportError as error:
        raise ValueError(f"{engine} is not installed: pip install {engine}") from error
