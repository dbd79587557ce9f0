"""ONNX's own node tests as files for the compatibility check: 1,884 in onnx 1.23.2."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


@cache
def written() -> dict[str, bytes]:
    """Each test's file as it is written: weights, axes, scales and shapes are network inputs."""
    return {name: bytes(case.model.SerializeToString()) for name, case in _cases().items()}


@cache
def settled() -> dict[str, bytes]:
    """Each test's file as a network would hold it: all inputs but the first are constants.

    Their values are those of the test's first data set.
    """
    return {name: _settled(case) for name, case in _cases().items()}


def main_operator(file: bytes) -> str:
    """The operator that a file's test is about, or the first of an expanded function."""
    nodes = onnx.load_model_from_string(file).graph.node
    return str(nodes[0].op_type) if nodes else "no node"


@cache
def _cases() -> dict[str, Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tests divide by zero on purpose
        cases = load_model_tests(kind="node")
    return {case.name.removeprefix("test_"): case for case in cases}


def _settled(case: Any) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    # Before, each initializer had to be an input too.
    model.ir_version = max(model.ir_version, 4)
    inputs = list(model.graph.input)
    kept = inputs[:1]
    for value, data in list(zip(inputs, case.data_sets[0][0], strict=False))[1:]:
        tensor = _tensor(value, data)
        if tensor is None:
            kept.append(value)
        else:
            model.graph.initializer.append(tensor)
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return bytes(model.SerializeToString())


def _tensor(value: Any, data: Any) -> TensorProto | None:
    """An input's data as a constant; None for texts, sequences and what numpy cannot hold."""
    kind = value.type.tensor_type.elem_type
    if not value.type.HasField("tensor_type") or kind == TensorProto.STRING:
        return None
    if isinstance(data, TensorProto):
        tensor = TensorProto()
        tensor.CopyFrom(data)
        tensor.name = value.name
        return tensor
    tensor = numpy_helper.from_array(np.asarray(data), value.name)
    return tensor if tensor.data_type == kind else None
