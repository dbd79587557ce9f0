"""The engines that run a file here, in the order in which they are tried."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import numpy as np

from runtime.pictures import Floats

Run = Callable[[Floats], Floats]
"""One input of the compiled shape, one output."""


def _openvino(onnx: bytes, shape: tuple[int, ...], threads: int) -> Run:
    openvino = importlib.import_module("openvino")
    core = openvino.Core()
    model = core.read_model(onnx)
    if tuple(model.input(0).partial_shape.to_shape()) != shape:
        model.reshape(list(shape))
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(values: Floats) -> Floats:
        found = request.infer({0: values}, share_inputs=True, share_outputs=True)[0]
        return np.array(found, np.float32)

    return run


def _onnxruntime(onnx: bytes, shape: tuple[int, ...], threads: int) -> Run:
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    if tuple(entry.shape) != shape:
        wanted, has = ("x".join(map(str, size)) for size in (shape[2:], entry.shape[2:]))
        raise ValueError(
            f"the file is for pictures of {has}, this one is {wanted}: onnxruntime runs it at "
            "that size only; engine='openvino' runs it at others"
        )

    def run(values: Floats) -> Floats:
        return np.asarray(session.run(None, {entry.name: values})[0], np.float32)

    return run


ENGINES: Mapping[str, Callable[[bytes, tuple[int, ...], int], Run]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


def compiled(engine: str, onnx: bytes, shape: tuple[int, ...], threads: int) -> Run:
    """The file compiled for one shape of its input.

    Raises:
        ValueError: the engine is not known, not installed, or cannot run it at this size.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is '{engine}': use {' or '.join(ENGINES)}")
    try:
        return ENGINES[engine](onnx, shape, threads)
    except ImportError as error:
        raise ValueError(f"{engine} is not installed: pip install {engine}") from error
