"""TensorRT's ONNX operators as data: names, types and restrictions.

From the operator table of onnx/onnx-tensorrt (docs/operators.md, 10.15), its onnxOpCheckers.cpp
and onnxOpImporters.cpp, and the opset guide of TensorRT 11. A newer parser may accept more.
"""

from __future__ import annotations

from dataclasses import dataclass

OLDEST_OPSET = 9
NEWEST_OPSET = 25
FIRST_HALF_QUANTIZER_OPSET = 19  # before, Q and DQ know fp32 only (ONNX operator pages)

F = frozenset({"FLOAT", "FLOAT16", "BFLOAT16"})
HALVES = frozenset({"FLOAT", "FLOAT16"})
INTS = frozenset({"INT32", "INT64"})
B = frozenset({"BOOL"})
U = frozenset({"UINT8"})
Q = frozenset({"INT8", "FLOAT8E4M3FN", "FLOAT4E2M1", "INT4"})


@dataclass(frozen=True)
class Operator:
    """What one operator may be.

    Attributes:
        types: element types of its first input.
        same_type: its float inputs must be of one type; strong typing promotes nothing.
        attributes: allowed values of attributes that are restricted.
        ranks: allowed ranks of the first input; empty for any.
        outputs: how many outputs it may have; 0 for any.
        constant_inputs: positions of inputs that must be known when building.
    """

    types: frozenset[str] = F
    same_type: bool = True
    attributes: tuple[tuple[str, tuple[int | float | str, ...]], ...] = ()
    ranks: tuple[int, ...] = ()
    outputs: int = 0
    constant_inputs: tuple[int, ...] = ()


_PLAIN = Operator()
_WITH_INTS = Operator(types=F | INTS)
_SHAPES = Operator(types=F | INTS | B)
_CONV = Operator(ranks=(3, 4, 5))
_POOL = Operator(ranks=(4, 5), outputs=1, attributes=(("dilations", (1,)),))
_REDUCE = Operator(types=F | INTS, same_type=False, constant_inputs=(1,))

_GROUPS: tuple[tuple[str, Operator], ...] = (
    ("Conv ConvTranspose", _CONV),
    ("Gemm MatMul", _PLAIN),
    ("BatchNormalization", Operator(attributes=(("training_mode", (0,)),), outputs=1)),
    ("InstanceNormalization GroupNormalization RMSNormalization", _PLAIN),
    ("LayerNormalization", Operator(outputs=1)),
    ("LeakyRelu Elu Selu Sigmoid Tanh HardSigmoid HardSwish Softplus Softsign Celu", _PLAIN),
    ("PRelu ThresholdedRelu Softmax LogSoftmax Einsum LpNormalization", _PLAIN),
    ("Relu Clip Gelu", _WITH_INTS),
    ("Mish", Operator(types=HALVES)),
    ("Add Sub Mul Div Min Max Pow Sum Mean Mod Abs Neg Sign", _WITH_INTS),
    ("Exp Log Sqrt Reciprocal Erf Sin Cos Tan Floor Ceil Round", _PLAIN),
    ("Concat Split Slice Reshape Transpose Flatten Expand Tile Gather Identity", _SHAPES),
    ("Where", Operator(types=F | INTS | B, same_type=False)),
    ("Equal Greater GreaterOrEqual Less LessOrEqual And Or Not Xor", Operator(types=F | INTS | B)),
    ("Squeeze Unsqueeze", Operator(types=F | INTS | B, constant_inputs=(1,))),
    ("DepthToSpace SpaceToDepth", Operator(types=F | INTS, ranks=(4,))),
    ("GatherElements GatherND ScatterElements ScatterND OneHot CumSum", _SHAPES),
    ("Upsample", Operator(attributes=(("mode", ("nearest", "linear", "bilinear")),))),
    ("MaxPool AveragePool", _POOL),
    ("LpPool", Operator(ranks=(4, 5), attributes=(("dilations", (1,)), ("p", (1, 2))))),
    ("GlobalMaxPool GlobalAveragePool GlobalLpPool", Operator(ranks=(4, 5))),
    (
        "Pad",
        Operator(
            types=F | INTS,
            attributes=(("mode", ("constant", "edge", "reflect", "wrap")),),
            constant_inputs=(1,),
        ),
    ),
    (
        "Resize",
        Operator(
            same_type=False,
            attributes=(
                ("mode", ("nearest", "linear", "cubic")),
                (
                    "coordinate_transformation_mode",
                    (
                        "half_pixel",
                        "pytorch_half_pixel",
                        "tf_half_pixel_for_nn",
                        "asymmetric",
                        "align_corners",
                    ),
                ),
                (
                    "nearest_mode",
                    ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
                ),
                ("antialias", (0,)),
                ("keep_aspect_ratio_policy", ("stretch",)),
            ),
        ),
    ),
    ("QuantizeLinear", Operator(same_type=False)),
    ("DequantizeLinear", Operator(types=Q, same_type=False)),
    ("Cast CastLike", Operator(types=F | INTS | U | B, same_type=False)),
    ("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2", _REDUCE),
    ("ReduceLogSum ReduceLogSumExp ReduceSumSquare", _REDUCE),
    ("TopK ArgMax ArgMin", Operator(types=F | INTS, same_type=False)),
    ("GridSample", Operator(types=HALVES, ranks=(4,))),
    ("RoiAlign NonMaxSuppression", Operator(types=HALVES, same_type=False)),
    ("Constant", Operator(same_type=False)),
    ("Shape Size ConstantOfShape Range", Operator(types=F | INTS | B, same_type=False)),
    ("Dropout", Operator(same_type=False)),
)
OPERATORS: dict[str, Operator] = {
    name: operator for names, operator in _GROUPS for name in names.split()
}

# Quantized arithmetic comes from Q/DQ around float operators, never from these.
INTEGER_OPERATORS = frozenset(
    "QLinearConv QLinearMatMul ConvInteger MatMulInteger DynamicQuantizeLinear".split()
)
# Loops, and outputs whose size depends on values: no CUDA graph can hold them.
NOT_CAPTURABLE = frozenset("NonMaxSuppression NonZero Loop If Scan".split())
# They only move values, so a quantizer passes through them and needs no pair of its own.
COMMUTING = frozenset("MaxPool Transpose Reshape DepthToSpace SpaceToDepth Flatten".split())
WEIGHTED = frozenset("Conv ConvTranspose Gemm".split())
# Which axis of the weight holds the output channels (ModelOpt, ort_utils.py).
WEIGHT_AXIS = {"Conv": 0, "ConvTranspose": 1}
# Channels that tensor cores take without padding (developer guide, "Optimizing for Tensor Cores").
CHANNEL_MULTIPLE = {"fp32": 4, "fp16": 8, "int8": 32}
