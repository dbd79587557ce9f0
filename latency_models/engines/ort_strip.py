"""Taking the activation quantizers out of an int8 file while keeping their scales.

It serves `ort_flavour`, and so files of others only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import CompileError, graph_inputs, io_of
from latency_models.engines.file_facts import quantized_convs


@dataclass(frozen=True)
class Stripped:
    """An fp32 graph whose quantized convolutions keep their int8 weights.

    Attributes:
        model: the graph; every activation is float.
        scales: of each activation, the symmetric int8 scale that reaches as far as its own.
        positive: the activations among them that were uint8 with zero point 0.
        convs: outputs of the convolutions that were quantized.
        constants: values of initializers and Constant nodes.
    """

    model: Any
    scales: dict[str, float]
    positive: frozenset[str]
    convs: frozenset[str]
    constants: dict[str, NDArray[Any]]

    def constant(self, node: Any, index: int) -> float | None:
        """A scalar constant input, or None where it is absent."""
        if len(node.input) <= index or node.input[index] not in self.constants:
            return None
        return float(self.constants[node.input[index]].reshape(-1)[0])


def strip_activation_quantizers(model: Any) -> Stripped:
    """Return the float graph and the scales; weights of quantized convs stay int8 with a DQ.

    Raises:
        CompileError: a tensor has two scales, a quantizer is not symmetric, or the file takes
            pictures as bytes.
    """
    import onnx

    if any(io_of(value) != "float_nchw" for value in graph_inputs(model)):
        raise CompileError("the file takes pictures as bytes, which this does not rewrite")
    model = onnx.load_model_from_string(model.SerializeToString())
    _upcast(model)
    graph = model.graph
    constants = _constants(graph)
    convs = frozenset(node.output[0] for node in quantized_convs(model))
    quantizers = {n.output[0]: n for n in graph.node if n.op_type == "QuantizeLinear"}
    scales: dict[str, float] = {}
    positive: set[str] = set()
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            continue
        if node.op_type != "DequantizeLinear":
            kept.append(node)
            continue
        quantizer = quantizers.get(node.input[0])
        source = quantizer.input[0] if quantizer is not None else node.input[0]
        if source in constants:
            kept.append(_weight_node(graph, node, quantizer, constants))
            continue
        _note_scale(scales, source, node, constants)
        if _is_positive(_zero_point(node, constants)):
            positive.add(source)
        renamed[node.output[0]] = source
    _replace(graph, kept, renamed)
    _dequantize_others(graph, convs, constants)
    return Stripped(model, scales, frozenset(positive), convs, _constants(graph))


def _constants(graph: Any) -> dict[str, NDArray[Any]]:
    from onnx import numpy_helper

    found = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        values = [a.t for a in node.attribute if a.name == "value"]
        if node.op_type == "Constant" and values:
            found[node.output[0]] = numpy_helper.to_array(values[0])
    return found


def _upcast(model: Any) -> None:
    """Half floats become fp32: the CPU provider's int8 kernels know no half scale."""
    from onnx import AttributeProto, TensorProto, numpy_helper

    def single(tensor: Any) -> None:
        if tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    graph = model.graph
    for tensor in graph.initializer:
        single(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                single(attribute.t)
            elif attribute.name in ("to", "output_dtype") and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT


def _note_scale(
    scales: dict[str, float], source: str, node: Any, constants: dict[str, NDArray[Any]]
) -> None:
    scale = constants.get(node.input[1])
    if scale is None or scale.size != 1 or not float(scale.reshape(-1)[0]) > 0:
        raise CompileError(f"the scale of '{source}' is not one positive constant")
    zero_point = _zero_point(node, constants)
    positive = _is_positive(zero_point)
    if not positive and not _is_symmetric(zero_point):
        raise CompileError(
            f"the zero point of '{source}' is neither that of int8 nor 0 of uint8: such a file is "
            "none of this project's"
        )
    value = float(scale.reshape(-1)[0]) * (255 / 127 if positive else 1.0)
    if scales.setdefault(source, value) != value:
        raise CompileError(f"'{source}' is quantized with two scales: {scales[source]}, {value}")


def _zero_point(node: Any, constants: dict[str, NDArray[Any]]) -> NDArray[Any]:
    none = np.zeros(1, np.int8)
    return constants.get(node.input[2], none) if len(node.input) > 2 else none


def _is_positive(zero_point: NDArray[Any]) -> bool:
    """uint8 with zero point 0."""
    return zero_point.dtype == np.uint8 and not zero_point.any()


def _is_symmetric(zero_point: NDArray[Any]) -> bool:
    """int8 with zero point 0, or the same values as uint8 with 128."""
    return bool(np.all(zero_point == (128 if zero_point.dtype == np.uint8 else 0)))


def _weight_node(
    graph: Any, node: Any, quantizer: Any | None, constants: dict[str, NDArray[Any]]
) -> Any:
    """The weight's DQ; a float weight before a quantizer becomes an int8 initializer."""
    from onnx import numpy_helper

    if quantizer is None:
        return node
    weight, scale = constants[quantizer.input[0]], constants[quantizer.input[1]]
    axis = next((a.i for a in quantizer.attribute if a.name == "axis"), 1)
    shape = [1] * weight.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    steps = np.rint(weight / scale.reshape(shape)).clip(-128, 127).astype(np.int8)
    name = f"{quantizer.input[0]}_int8"
    graph.initializer.append(numpy_helper.from_array(steps, name))
    constants[name] = steps
    node.input[0] = name
    return node


def _replace(graph: Any, nodes: list[Any], renamed: dict[str, str]) -> None:
    """Keep these nodes only, reading past the quantizers that are gone."""
    outputs = {value.name for value in graph.output}
    lost = sorted(outputs & set(renamed))
    if lost:
        raise CompileError(f"the outputs {lost} are quantized: leave graph outputs in float")
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)
    del graph.value_info[:]


def _dequantize_others(
    graph: Any, convs: frozenset[str], constants: dict[str, NDArray[Any]]
) -> None:
    """Weights of what has no int8 kernel (ConvTranspose, Gemm) become float constants again."""
    from onnx import numpy_helper

    conv_weights = {n.input[1] for n in graph.node if n.output and n.output[0] in convs}
    kept = []
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.output[0] in conv_weights:
            kept.append(node)
            continue
        steps, scale = (constants[name] for name in node.input[:2])
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [1] * steps.ndim
        if scale.size > 1:
            shape[axis] = scale.size
        weight = steps.astype(np.float32) * scale.reshape(shape)
        graph.initializer.append(numpy_helper.from_array(weight, node.output[0]))
    copies = list(kept)
    del graph.node[:]
    graph.node.extend(copies)
