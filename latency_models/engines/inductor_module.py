"""An ONNX file as a PyTorch module: its nodes in order, run by a loop of fixed length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import CompileError, graph_inputs
from latency_models.engines.inductor_ops import OPERATORS, Call
from latency_models.engines.inductor_resize import sampling_buffers

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class _Step:
    """One node: where its inputs come from and where its output goes."""

    op: str
    call: Call
    inputs: tuple[str, ...]
    output: str


def to_module(model: Any) -> nn.Module:
    """Return a module that takes the graph's inputs and returns its outputs as a tuple.

    Raises:
        CompileError: an operator or one of its variants is not covered; names the node.
    """
    from torch import nn

    steps, weights = _steps(model)
    input_names = [value.name for value in graph_inputs(model)]
    output_names = [value.name for value in model.graph.output]
    buffers = {name: f"weight{index}" for index, name in enumerate(weights)}

    class OnnxModule(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, buffer in buffers.items():
                self.register_buffer(buffer, _tensor(weights[name]))

        def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
            values: dict[str, Tensor] = dict(zip(input_names, inputs, strict=True))
            for name, buffer in buffers.items():
                values[name] = getattr(self, buffer)
            for step in steps:
                tensors = [values.get(name) for name in step.inputs]
                call = Call(step.call.name, step.call.attributes, tensors, step.call.constants)
                values[step.output] = OPERATORS[step.op](call)
            return tuple(values[name] for name in output_names)

    return OnnxModule().eval()


def _steps(model: Any) -> tuple[list[_Step], dict[str, NDArray[Any]]]:
    """Nodes with their attributes read, and the constants that they use as tensors."""
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [int(d.dim_value) for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    steps: list[_Step] = []
    for node in graph.node:
        attributes = {a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute}
        name = node.name or node.output[0]
        if node.op_type == "Constant":
            if "value" not in attributes:
                raise CompileError(f"inductor engine: constant '{name}' holds no tensor")
            constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            continue
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            raise CompileError(
                f"inductor engine: node '{name}' is {node.op_type}, which is not covered; "
                f"covered are {', '.join(sorted(OPERATORS))}"
            )
        known = [(i, constants[n]) for i, n in enumerate(node.input) if n in constants]
        # A plain number where it is one: torch.compile cannot look into every numpy array.
        fixed = {i: value.item() if value.ndim == 0 else value for i, value in known}
        call = Call(name, attributes, (), fixed)
        step = _Step(node.op_type, call, tuple(node.input), node.output[0])
        if node.op_type == "Resize":
            step = _resize_step(step, shapes.get(node.input[0], []), constants)
        steps.append(step)
    used = {name for step in steps for name in step.inputs}
    used |= {value.name for value in graph.output}
    return steps, {name: value for name, value in constants.items() if name in used}


def _resize_step(step: _Step, shape: list[int], constants: dict[str, NDArray[Any]]) -> _Step:
    """Sizes and scales are replaced by gather positions and weights."""
    if not shape or any(size <= 0 for size in shape):
        raise step.call.refuse("resizes a tensor whose shape is not known")
    names = [f"{step.output}_{part}" for part in ("rows", "row_weights", "cols", "col_weights")]
    arrays = sampling_buffers(step.call, shape)
    constants.update(zip(names, arrays, strict=True))
    return replace(step, inputs=(step.inputs[0], *names))


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _tensor(array: NDArray[Any]) -> Tensor:
    import torch

    # Interpolation weights are computed in double; they run in fp32.
    single = array.astype(np.float32) if array.dtype == np.float64 else array
    return torch.from_numpy(np.array(single))
