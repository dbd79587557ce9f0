"""What an ONNX file says about itself: the precision it is written at and its quantized convs.

On engines that build exactly the types in the graph, precision is a property of the file. Asking
for another one is refused instead of being answered with a number that means something else.
"""

from __future__ import annotations

from typing import Any

from latency_models.base import CompileError, Precision, first_input_shape

WEIGHTED_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
INTEGER_OPS = frozenset(
    "QLinearConv ConvInteger QLinearMatMul MatMulInteger QGemm DynamicQuantizeMatMul "
    "MatMulIntegerToFloat".split()
)
"""Layers that are integer arithmetic by themselves, in the style of ONNX Runtime's quantizer."""
_PRODUCER = "freeway-nas"
_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


def is_own(model: Any) -> bool:
    """Whether this project wrote the file."""
    return bool(model.producer_name == _PRODUCER)


def read_model(onnx_bytes: bytes) -> Any:
    """Parse and check a file.

    Raises:
        CompileError: it is no valid ONNX, or an input has no static shape.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(onnx_bytes)
        onnx.checker.check_model(model)
    except Exception as error:
        words = " ".join(str(error).split())[:600]
        raise CompileError(f"not a valid ONNX file: {words or type(error).__name__}") from error
    first_input_shape(model)
    return model


def producers(graph: Any) -> dict[str, Any]:
    """The node that makes each tensor."""
    return {output: node for node in graph.node for output in node.output}


def quantized_convs(model: Any) -> list[Any]:
    """Conv nodes whose data and weight both come from DequantizeLinear."""
    made_by = producers(model.graph)

    def dequantized(tensor: str) -> bool:
        return tensor in made_by and made_by[tensor].op_type == "DequantizeLinear"

    return [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and all(dequantized(t) for t in node.input[:2])
    ]


def has_both_ends(model: Any) -> bool:
    """Whether what every quantized Conv gives is quantized too, behind at most a ReLU or Clip.

    So ONNX Runtime wants them; TensorRT's style leaves what a convolution gives in float.
    """
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def ends(tensor: str) -> bool:
        found = readers.get(tensor, [])
        if len(found) == 1 and found[0].op_type in ("Relu", "Clip"):
            found = readers.get(found[0].output[0], [])
        return bool(found) and all(node.op_type == "QuantizeLinear" for node in found)

    convs = quantized_convs(model)
    return bool(convs) and all(ends(node.output[0]) for node in convs)


def largest_integer(model: Any) -> int:
    """The largest magnitude among the int8 constants of a file: of its weights."""
    from onnx import TensorProto, numpy_helper

    found = [i for i in model.graph.initializer if i.data_type == TensorProto.INT8]
    magnitudes = [abs(int(v)) for i in found for v in _extremes(numpy_helper.to_array(i))]
    return max(magnitudes, default=0)


def _extremes(values: Any) -> tuple[Any, ...]:
    return (values.min(), values.max()) if values.size else ()


def integer_layers(model: Any) -> list[Any]:
    """Nodes that are integer arithmetic without any Q/DQ pair around them."""
    return [node for node in model.graph.node if node.op_type in INTEGER_OPS]


def float_type(model: Any) -> Precision:
    """fp16 when the weights of the compute layers are half, else fp32."""
    from onnx import TensorProto

    types = {i.name: i.data_type for i in model.graph.initializer}
    made_by = producers(model.graph)
    for node in model.graph.node:
        if node.op_type not in WEIGHTED_OPS:
            continue
        # A quantized weight is int8; the float type is then that of the scale or the bias.
        weight = made_by.get(node.input[1])
        names = [*(weight.input if weight is not None else ()), *node.input[1:]]
        if any(types.get(name) == TensorProto.FLOAT16 for name in names):
            return "fp16"
    return "fp32"


def file_precision(model: Any) -> Precision:
    """int8 when the file has Q/DQ nodes or integer layers, else the float type of its weights."""
    if any(node.op_type in _QUANTIZERS | INTEGER_OPS for node in model.graph.node):
        return "int8"
    return float_type(model)


def require_precision(model: Any, precision: Precision) -> None:
    """Refuse a file that is not written at the precision that was asked for.

    Raises:
        CompileError: it is not.
    """
    found = file_precision(model)
    if found != precision:
        raise CompileError(
            f"{precision} was asked for, but the file is written at {found}: "
            f"write it at {precision} (the precision is in the file, not in a flag)"
        )
