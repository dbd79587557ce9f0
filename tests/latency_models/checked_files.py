"""Checking a file for one rule, and breaking a good file in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import numpy_helper

from latency_models.trt_compatibility import Finding, check


def found(onnx_bytes: bytes, rule: str) -> list[Finding]:
    return [finding for finding in check(onnx_bytes) if finding.rule == rule]


def errors(onnx_bytes: bytes) -> list[Finding]:
    return [finding for finding in check(onnx_bytes) if finding.level == "error"]


def changed(onnx_bytes: bytes, change: Callable[[Any], None]) -> bytes:
    model = onnx.load_model_from_string(onnx_bytes)
    change(model)
    return bytes(model.SerializeToString())


def set_constant(name: str, values: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(values, name))
                return
        raise KeyError(name)

    return change


def node_named(model: Any, name: str) -> Any:
    return next(node for node in model.graph.node if node.name == name)
