"""The engines that run a file here, in the order in which they are tried."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.pictures import IO, Floats, entering, leaving

Shapes = Mapping[str, tuple[int, ...]]
"""Of each input by name, (N, C, h, w) or (N, C), whichever way the file has its pictures."""
Raw = Mapping[str, NDArray[Any]]
"""Arrays by name as a file takes and gives them: numbers, or levels of pictures."""


@dataclass(frozen=True)
class Ready:
    """A file that is compiled for one shape of each input.

    Attributes:
        call: inputs -> outputs.
        ios: how each input enters the file.
    """

    call: Callable[[Raw], Raw]
    ios: Mapping[str, IO]

    def run(self, values: Mapping[str, Floats]) -> dict[str, Floats]:
        """Numbers of shape (N, C, h, w) or (N, C) -> the same, whatever the file takes."""
        given = {name: entering(value, self.ios[name]) for name, value in values.items()}
        found = self.call(given)
        # Pictures of bytes leave a file as they enter it.
        levels = next((io for io in self.ios.values() if io != "float_nchw"), "uint8_nhwc")
        return {
            name: leaving(made, levels if made.dtype == np.uint8 else "float_nchw")
            for name, made in found.items()
        }


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


def _io_of(shape: tuple[int, ...], channels: int, is_bytes: bool) -> IO:
    """How a picture enters a file, by the shape and type of the file's input."""
    if not is_bytes:
        return "float_nchw"
    return "uint8_nhwc" if shape[-1] == channels else "uint8_nchw"


def _in_file(shape: tuple[int, ...], io: IO) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1]) if io == "uint8_nhwc" else shape


def _of_file(shape: tuple[int, ...], io: IO) -> tuple[int, ...]:
    return (shape[0], shape[-1], *shape[1:-1]) if io == "uint8_nhwc" else shape


def _side(dimension: Any) -> int:
    """Of an input as OpenVINO has it; -1 where the file leaves it open."""
    return int(dimension.get_length()) if dimension.is_static else -1


def _openvino(onnx: bytes, shapes: Shapes, threads: int) -> Ready:
    openvino = importlib.import_module("openvino")
    core = openvino.Core()
    model = core.read_model(onnx)
    file = {n: tuple(map(_side, model.input(n).partial_shape)) for n in shapes}
    ios = {
        n: _io_of(shape, shapes[n][1], model.input(n).element_type.get_type_name() == "u8")
        for n, shape in file.items()
    }
    has = {n: _of_file(shape, ios[n]) for n, shape in file.items()}
    if has != dict(shapes):
        try:
            model.reshape({n: list(_in_file(shape, ios[n])) for n, shape in shapes.items()})
        except RuntimeError as error:
            why = "openvino cannot give this file another size"
            raise OneSize(has, shapes, why) from error
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    names = [output.get_any_name() for output in compiled.outputs]

    def call(given: Raw) -> Raw:
        found = request.infer(dict(given), share_inputs=True, share_outputs=True)
        return {name: np.array(found[k]) for k, name in enumerate(names)}

    return Ready(call, ios)


def _onnxruntime(onnx: bytes, shapes: Shapes, threads: int) -> Ready:
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    ios = {
        entry.name: _io_of(tuple(entry.shape), shapes[entry.name][1], "uint8" in entry.type)
        for entry in session.get_inputs()
    }
    has = {
        entry.name: _of_file(tuple(entry.shape), ios[entry.name])
        for entry in session.get_inputs()
    }
    if any(
        isinstance(side, int) and side != wanted
        for name, shape in has.items()
        for side, wanted in zip(shape, shapes[name], strict=True)
    ):
        why = "onnxruntime runs it at that size only; engine='openvino' runs it at others"
        raise OneSize(has, shapes, why)
    names = [output.name for output in session.get_outputs()]

    def call(given: Raw) -> Raw:
        return dict(zip(names, session.run(None, dict(given)), strict=True))

    return Ready(call, ios)


ENGINES: Mapping[str, Callable[[bytes, Shapes, int], Ready]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


def compiled(engine: str, onnx: bytes, shapes: Shapes, threads: int) -> Ready:
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
