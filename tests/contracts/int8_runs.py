"""The int8 file of a fake-quantized network, and what engines make of it."""

from __future__ import annotations

import onnxruntime
from calibrated import Image
from networks import HEIGHT, WIDTH

from latency_models.engines.ov import OpenVINOEngine
from search_spaces.fake_quantize import QuantizedNetwork, convert
from search_spaces.onnx_writer import write

ENGINE = OpenVINOEngine()


def int8_file(network: QuantizedNetwork) -> bytes:
    weights, placement, scales = convert(network)
    return write(
        network.graph, weights, height=HEIGHT, width=WIDTH, quantized=(placement, scales)
    )


def in_engine(file: bytes, image: Image) -> Image:
    with ENGINE.compile(file, "int8") as compiled:
        result: Image = compiled.run([image])[0]
    return result


def in_onnxruntime(file: bytes, image: Image) -> Image:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    result: Image = session.run(None, {"input": image})[0]
    return result
