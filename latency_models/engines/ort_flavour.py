"""Rewriting a TensorRT-style int8 file so that ONNX Runtime's CPU kernels run it in int8.

For files of others only: what this project writes for ONNX Runtime has its quantizers where that
fuses them (`search_spaces/both_ends.py`), with calibrated scales, and is never rewritten.

The file for TensorRT and OpenVINO quantizes convolution inputs only, as int8 with zero point 0
(or uint8 with 0 or 128, on CPUs).
ONNX Runtime runs that in float, slower than fp32 (0.63 to 0.9 of its speed on eight networks).
It fuses a convolution into `QLinearConv` only when

- the tensor after a ReLU is uint8 with zero point 0, so that the ReLU disappears in the
  quantizer; the scale becomes scale * 127 / 255, which keeps the clip point and halves the step;
- every other activation is uint8 with zero point 128 (int8 additions stay in float);
- each convolution's output, the last one's too, and each DepthToSpace and Add is quantized;
- activation scales and zero points have no dimension.

A bias stays float and ONNX Runtime rounds it to 32 bits in steps of its layer's sums: where a
channel has next to no weights it does not fit, and the channel's outputs are wrong.

A tensor without a scale in the file takes it from `ranges`, else a placeholder. The placeholder
is right for timing, which does not depend on scales, and wrong for images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import CompileError
from latency_models.engines.file_facts import quantized_convs, read_model
from latency_models.engines.ort_strip import Stripped, strip_activation_quantizers

PLACEHOLDER_LIMIT = 1.0
_SAME_VALUES = frozenset({"DepthToSpace", "SpaceToDepth", "MaxPool", "Reshape", "Transpose"})
_JOINS = frozenset({"Add", "Concat"})


def to_ort_flavour(onnx: bytes, ranges: Mapping[str, tuple[float, float]] | None = None) -> bytes:
    """Return the same network quantized the way ONNX Runtime's CPU provider fuses.

    Args:
        onnx: a TensorRT-style file: int8, zero point 0, Q/DQ before convolutions. Half floats
            become fp32, the type the CPU kernels have.
        ranges: lowest and highest value of the tensors that `unscaled_tensors` names.

    Raises:
        CompileError: no convolution is quantized, or one tensor has two scales.
    """
    model = read_model(onnx)
    if not quantized_convs(model):
        raise CompileError("no convolution has both its data and its weight quantized")
    stripped = strip_activation_quantizers(model)
    _Rewriter(stripped, dict(ranges or {})).rewrite()
    return bytes(stripped.model.SerializeToString())


def can_rewrite(model: Any) -> bool:
    """True for a TensorRT-style file that is not rewritten yet: symmetric scales, a float output.

    What ONNX Runtime's own quantizer makes is neither, and runs in int8 as it is.
    """
    try:
        strip_activation_quantizers(model)
    except CompileError:
        return False
    return True


def unscaled_tensors(onnx: bytes) -> list[str]:
    """Tensors that get a quantizer but have no scale in the file: what `ranges` should hold."""
    rewriter = _Rewriter(strip_activation_quantizers(read_model(onnx)), {})
    rewriter.plan()
    return sorted(rewriter.unscaled)


def ranges_from_inputs(
    onnx: bytes, inputs: Sequence[Sequence[NDArray[Any]]]
) -> dict[str, tuple[float, float]]:
    """Run calibration inputs through the float graph in ONNX Runtime and note the ranges.

    Args:
        onnx: the TensorRT-style file.
        inputs: one sequence of arrays per image, in the order of the graph's inputs.
    """
    import onnxruntime

    names = unscaled_tensors(onnx)
    if not names:
        return {}
    model = strip_activation_quantizers(read_model(onnx)).model
    from onnx import ValueInfoProto

    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=n) for n in names if n not in outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # failures come as exceptions
    # Fusing a convolution with the addition behind it loses the tensor between them.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found: dict[str, tuple[float, float]] = {}
    for arrays in inputs:
        feeds = {
            value.name: np.asarray(array, np.float32)
            for value, array in zip(session.get_inputs(), arrays, strict=True)
        }
        for name, values in zip(names, session.run(names, feeds), strict=True):
            low, high = found.get(name, (0.0, 0.0))
            found[name] = (min(low, float(values.min())), max(high, float(values.max())))
    return found


class _Rewriter:
    """Decides which tensors are quantized, with which scale, and inserts the nodes."""

    def __init__(self, stripped: Stripped, ranges: Mapping[str, tuple[float, float]]) -> None:
        self._stripped = stripped
        self._graph = stripped.model.graph
        self._ranges = ranges
        self._made_by = {out: node for node in self._graph.node for out in node.output}
        self._readers: dict[str, list[Any]] = {}
        for node in self._graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {value.name for value in self._graph.output}
        self._root_scales: dict[str, float] = {}
        for name, scale in stripped.scales.items():
            self._root_scales.setdefault(self._root(name), scale)
        self.unscaled: set[str] = set()

    def rewrite(self) -> None:
        """Insert a quantizer after each tensor of the plan."""
        from onnx import helper

        parameters = self.plan()
        nodes: list[Any] = []
        start = [value.name for value in self._graph.input if value.name in parameters]
        for name in start:
            nodes += self._quantizer(name, name, parameters[name])
        renamed = {name: f"{name}_dq" for name in parameters if name not in self._outputs}
        for node in list(self._graph.node):
            copy = helper.make_node(node.op_type, [], [], name=node.name, domain=node.domain)
            copy.attribute.extend(node.attribute)
            copy.input.extend(renamed.get(name, name) for name in node.input)
            raw = {n: f"{n}_raw" for n in node.output if n in parameters and n in self._outputs}
            copy.output.extend(raw.get(name, name) for name in node.output)
            nodes.append(copy)
            for name in node.output:
                if name in parameters:
                    nodes += self._quantizer(name, raw.get(name, name), parameters[name])
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        read = {name for node in nodes for name in node.input}
        used = [i for i in self._graph.initializer if i.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(used)

    def plan(self) -> dict[str, tuple[float, int]]:
        """Scale and zero point of every tensor that is to be quantized, in graph order."""
        chosen: dict[str, None] = {
            value.name: None for value in self._graph.input if value.name in self._stripped.scales
        }
        for node in self._graph.node:
            out = node.output[0] if node.output else ""
            if out in self._stripped.scales or self._should_quantize(node, chosen):
                chosen[out] = None
        scales: dict[str, tuple[float, int]] = {}
        for name in chosen:
            scales[name] = self._parameters(name)
        return scales

    def _should_quantize(self, node: Any, chosen: Mapping[str, None]) -> bool:
        if self._is_quantized_conv(node):
            return self._folded_activation(node.output[0]) is None
        if node.op_type in ("Relu", "Clip"):
            source = self._made_by.get(node.input[0])
            fused = source is not None and self._folded_activation(source.output[0]) is node
            return bool(fused and self._is_quantized_conv(source)) or node.input[0] in chosen
        if node.op_type == "Resize":
            return _is_nearest(node) and node.input[0] in chosen
        if node.op_type in _JOINS:
            return any(name in chosen for name in node.input)
        return node.op_type in _SAME_VALUES and node.input[0] in chosen

    def _is_quantized_conv(self, node: Any) -> bool:
        return node.output[0] in self._stripped.convs

    def _folded_activation(self, tensor: str) -> Any | None:
        """The ReLU or Clip from 0 that alone reads this tensor."""
        readers = self._readers.get(tensor, [])
        if len(readers) != 1 or tensor in self._outputs or tensor in self._stripped.scales:
            return None
        return readers[0] if self._ceiling(readers[0]) is not None else None

    def _ceiling(self, node: Any) -> float | None:
        """Upper bound of a ReLU-like node's output, None for any other node."""
        if node.op_type == "Relu":
            return float("inf")
        if node.op_type != "Clip":
            return None
        low, high = (self._stripped.constant(node, index) for index in (1, 2))
        return (float("inf") if high is None else high) if low == 0.0 else None

    def _parameters(self, tensor: str) -> tuple[float, int]:
        """uint8 scale and zero point: zero point 0 where the values cannot be negative."""
        limit, ceiling = self._limit(tensor), self._non_negative(tensor)
        if ceiling is None:
            if self._root(tensor) in self._stripped.positive:
                return limit / 255, 0
            return limit / 127, 128
        # A hair below the bound: only then does the quantizer make the Clip superfluous.
        return min(limit, ceiling * (1 - 1e-6)) / 255, 0

    def _limit(self, tensor: str) -> float:
        """The largest magnitude that is not clipped; one for all tensors with the same values."""
        root = self._root(tensor)
        scale = self._root_scales.get(root)
        if scale is not None:
            return scale * 127
        self.unscaled.add(root)
        low, high = self._ranges.get(root, (0.0, PLACEHOLDER_LIMIT))
        return max(abs(low), abs(high)) or PLACEHOLDER_LIMIT

    def _root(self, tensor: str) -> str:
        """Where the values come from, across nodes that only move them."""
        node = self._made_by.get(tensor)
        while node is not None and _moves_values(node):
            tensor = node.input[0]
            node = self._made_by.get(tensor)
        return tensor

    def _non_negative(self, tensor: str) -> float | None:
        """Upper bound of a tensor that cannot be negative by construction, else None."""
        node = self._made_by.get(self._root(tensor))
        return None if node is None else self._ceiling(node)

    def _quantizer(self, name: str, source: str, parameters: tuple[float, int]) -> list[Any]:
        """Q and DQ after `source`; what reads `name` reads their result."""
        from onnx import helper, numpy_helper

        scale, zero_point = f"{name}_scale", f"{name}_zero_point"
        # 0-d on purpose: ONNX Runtime refuses to add tensors whose scale has shape (1,).
        self._graph.initializer.extend(
            [
                numpy_helper.from_array(np.array(parameters[0], np.float32), scale),
                numpy_helper.from_array(np.array(parameters[1], np.uint8), zero_point),
            ]
        )
        result = name if name in self._outputs else f"{name}_dq"
        return [
            helper.make_node(op, [start, scale, zero_point], [end], name=f"{name}_{suffix}")
            for op, suffix, start, end in (
                ("QuantizeLinear", "quantize", source, f"{name}_q"),
                ("DequantizeLinear", "dequantize", f"{name}_q", result),
            )
        ]


def _moves_values(node: Any) -> bool:
    return node.op_type in _SAME_VALUES or (node.op_type == "Resize" and _is_nearest(node))


def _is_nearest(node: Any) -> bool:
    modes = [a.s for a in node.attribute if a.name == "mode"]
    return modes in ([], [b"nearest"])
