"""The int8 file of a fake-quantized network, and what engines make of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
from calibrated import Image
from networks import HEIGHT, WIDTH

from latency_models.engines.ov import OpenVINOEngine
from search_spaces.fake_quantize import QuantizedNetwork, convert
from search_spaces.onnx_writer import write
from search_spaces.quantize import CPU_RULES, QuantRules

ENGINE = OpenVINOEngine()


def int8_file(network: QuantizedNetwork, rules: QuantRules = CPU_RULES) -> bytes:
    weights, placement, scales = convert(network)
    return write(
        network.graph,
        weights,
        height=HEIGHT,
        width=WIDTH,
        quantized=(placement, scales),
        prelu=rules.prelu,
    )


def in_engine(file: bytes, image: Image) -> Image:
    with ENGINE.compile(file, "int8") as compiled:
        result: Image = compiled.run([image])[0]
    return result


def in_a_plain_session(file: bytes, image: Image) -> Image:
    """What ONNX Runtime makes of a file for whoever just opens it."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    result: Image = session.run(None, {"input": image})[0]
    return result


def optimized_kinds(file: bytes, folder: Path) -> Counter[str]:
    """The nodes that such a session executes, by operator."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3  # it warns that what it writes is for this processor
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(folder / "optimized.onnx").graph
    return Counter(node.op_type for node in graph.node)


def in_onnxruntime(file: bytes, image: Image) -> Image:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    result: Image = session.run(None, {"input": image})[0]
    return result
