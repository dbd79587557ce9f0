"""TensorRT's ONNX operators as data: names, types and restrictions.

From the operator table of onnx/onnx-tensorrt (docs/operators.md, 10.15), its onnxOpCheckers.cpp
and onnxOpImporters.cpp, and the opset guide of TensorRT 11; names and types were then compared
with what the parser and the builder of TensorRT for RTX 1.7.1.116 say: `supports_operator` for
every name, one small file for every operator and type.
"""

from __future__ import annotations

from dataclasses import dataclass

# The documented range. The parser neither refuses others nor warns: opsets 1 to 40 were built.
OLDEST_OPSET = 9
NEWEST_OPSET = 25
FIRST_HALF_QUANTIZER_OPSET = 19  # before, Q and DQ know fp32 only (ONNX operator pages)

F = frozenset({"FLOAT", "FLOAT16", "BFLOAT16"})
HALVES = frozenset({"FLOAT", "FLOAT16"})
I8 = frozenset({"INT8"})
INTS = frozenset({"INT32", "INT64"})
B = frozenset({"BOOL"})
U = frozenset({"UINT8"})
LOW = frozenset({"FLOAT8E4M3FN", "FLOAT4E2M1", "INT4"})  # only between Q or a constant and DQ
Q = I8 | LOW
NUMBERS = F | I8 | INTS
ANY = NUMBERS | B
TENSOR_TYPES = ANY | LOW | U | {"DOUBLE"}  # what the parser can make a tensor of


@dataclass(frozen=True)
class Operator:
    """What one operator may be.

    Attributes:
        types: element types of its first input.
        same_type: its float inputs must be of one type; strong typing promotes nothing.
        attributes: allowed values of attributes that are restricted.
        ranks: allowed ranks of the first input; empty for any.
        outputs: how many outputs it may have; 0 for any.
        weight_inputs: positions of inputs that the parser must hold as weights: it looks through
            a Cast or an Identity, but computes nothing.
        known_inputs: positions of inputs that decide a shape or an axis: they may be computed,
            but not from the values of a network input.
    """

    types: frozenset[str] = F
    same_type: bool = True
    attributes: tuple[tuple[str, tuple[int | float | str, ...]], ...] = ()
    ranks: tuple[int, ...] = ()
    outputs: int = 0
    weight_inputs: tuple[int, ...] = ()
    known_inputs: tuple[int, ...] = ()


_PLAIN = Operator()
_HALVES = Operator(types=HALVES)
_NUMBERS = Operator(types=NUMBERS)
_SHAPES = Operator(types=ANY)
_MOVES = Operator(types=ANY | LOW)
_LOGIC = Operator(types=B)
_SHAPED = Operator(types=ANY, known_inputs=(1,))
_POOL = Operator(types=F | I8, ranks=(3, 4, 5), outputs=1, attributes=(("dilations", (1,)),))
_REDUCE = Operator(types=NUMBERS, same_type=False, weight_inputs=(1,))
_REDUCE_FLOAT = Operator(same_type=False, weight_inputs=(1,))
_FREE = Operator(types=TENSOR_TYPES - LOW, same_type=False)
_RANDOM = Operator(types=HALVES, same_type=False, attributes=(("dtype", (1, 10)),))
_WINDOW = Operator(types=INTS, known_inputs=(0,))
_RESIZE = (
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
    ("nearest_mode", ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")),
    ("antialias", (0,)),
    ("keep_aspect_ratio_policy", ("stretch",)),
)

_GROUPS: tuple[tuple[str, Operator], ...] = (
    ("Conv ConvTranspose", Operator(ranks=(3, 4, 5))),
    ("Gemm MatMul Einsum PRelu RotaryEmbedding", _PLAIN),
    (
        "Attention",
        Operator(
            same_type=False,
            outputs=1,
            # The parser knows no window and builds as if there were none: the plans are equal.
            attributes=(
                ("softcap", (0.0,)),
                ("left_window_size", (-1,)),
                ("right_window_size", (-1,)),
            ),
        ),
    ),
    ("TensorScatter", Operator(types=ANY, ranks=(4,), attributes=(("mode", ("linear",)),))),
    ("BatchNormalization", Operator(attributes=(("training_mode", (0,)),), outputs=1)),
    ("InstanceNormalization GroupNormalization RMSNormalization LRN", _PLAIN),
    ("MeanVarianceNormalization", Operator(types=frozenset({"FLOAT"}))),
    ("LayerNormalization", Operator(outputs=1)),
    ("LpNormalization", Operator(types=HALVES, attributes=(("p", (1, 2)),))),
    ("LeakyRelu Elu Selu Sigmoid Tanh HardSigmoid Softplus Softsign ThresholdedRelu", _PLAIN),
    ("Softmax LogSoftmax Hardmax Swish Gelu", _PLAIN),
    ("Relu", Operator(types=F | I8 | {"INT64"})),
    ("Celu", Operator(types=frozenset({"FLOAT"}))),
    ("HardSwish Mish", _HALVES),
    ("Shrink", Operator(types=HALVES | I8 | INTS)),
    ("Clip", Operator(types=F | INTS)),
    ("Add Sub Mul Div Min Max Sum Abs Neg Sign", _NUMBERS),
    ("Pow", Operator(types=F | INTS, same_type=False)),
    ("Mod", Operator(types=F | INTS)),
    ("Mean", _PLAIN),
    ("Exp Log Sqrt Reciprocal Erf Sin Cos Tan Sinh Cosh Asin Acos Atan Asinh Acosh", _PLAIN),
    ("Atanh Floor Ceil Round IsNaN IsInf", _PLAIN),
    ("Concat Transpose Flatten", _MOVES),
    ("Identity", Operator(types=ANY | LOW | U)),
    ("Reshape", Operator(types=ANY | LOW, known_inputs=(1,))),
    ("Expand Tile Split Squeeze Unsqueeze", _SHAPED),
    ("Slice", Operator(types=ANY, known_inputs=(1, 2, 3, 4))),
    ("Gather GatherElements GatherND Scatter", _SHAPES),
    ("ScatterElements ScatterND", Operator(types=ANY, attributes=(("reduction", ("none",)),))),
    ("ReverseSequence EyeLike Trilu", _SHAPES),
    ("OneHot", Operator(types=ANY, same_type=False, known_inputs=(1,))),
    ("CumSum", Operator(types=F | INTS, known_inputs=(1,))),
    ("Where", Operator(types=ANY, same_type=False)),
    ("Equal", _SHAPES),
    ("Greater GreaterOrEqual Less LessOrEqual", _NUMBERS),
    ("And Or Not Xor", _LOGIC),
    ("DepthToSpace SpaceToDepth", Operator(types=NUMBERS, ranks=(4,))),
    (
        "Upsample",
        Operator(
            same_type=False,
            attributes=(("mode", ("nearest", "linear", "bilinear")),),
            known_inputs=(1,),
        ),
    ),
    ("MaxPool AveragePool", _POOL),
    (
        "LpPool",
        Operator(types=HALVES, ranks=(3, 4, 5), attributes=(("dilations", (1,)), ("p", (1, 2)))),
    ),
    ("GlobalMaxPool", Operator(types=NUMBERS, ranks=(3, 4, 5))),
    ("GlobalAveragePool", Operator(types=F | INTS, ranks=(3, 4, 5))),
    ("GlobalLpPool", Operator(types=HALVES, ranks=(3, 4, 5))),
    (
        "Pad",
        Operator(
            types=ANY,
            attributes=(("mode", ("constant", "edge", "reflect", "wrap")),),
            known_inputs=(1, 3),
        ),
    ),
    ("Resize", Operator(same_type=False, attributes=_RESIZE, known_inputs=(2, 3))),
    ("QuantizeLinear", Operator(same_type=False)),
    ("DequantizeLinear", Operator(types=Q, same_type=False)),
    ("Cast CastLike Shape Size Dropout", _FREE),
    ("ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceSumSquare", _REDUCE),
    ("ReduceMean", Operator(types=F | INTS, same_type=False, weight_inputs=(1,))),
    ("ReduceL2 ReduceLogSum ReduceLogSumExp", _REDUCE_FLOAT),
    ("ArgMax ArgMin", Operator(types=NUMBERS, ranks=(2, 3, 4, 5, 6, 7, 8))),
    ("TopK", Operator(types=NUMBERS, same_type=False, known_inputs=(1,))),
    ("GridSample", Operator(ranks=(4, 5))),
    ("RoiAlign NonMaxSuppression NonZero", Operator(types=F | INTS | B, same_type=False)),
    ("Constant", _FREE),
    ("ConstantOfShape", Operator(types=INTS, same_type=False, known_inputs=(0,))),
    (
        "Range",
        Operator(types=INTS | {"FLOAT"}, same_type=False, known_inputs=(0, 1, 2)),
    ),
    ("RandomNormal RandomNormalLike RandomUniform RandomUniformLike", _RANDOM),
    ("BlackmanWindow HammingWindow HannWindow", _WINDOW),
    ("STFT", Operator(weight_inputs=(1,))),
    ("GRU LSTM RNN", Operator(same_type=False)),
    ("If Scan", _FREE),
    ("Loop", Operator(types=TENSOR_TYPES - LOW, same_type=False, known_inputs=(0,))),
    ("CausalConvWithState LinearAttention", Operator(same_type=False)),
)
OPERATORS: dict[str, Operator] = {
    name: operator for names, operator in _GROUPS for name in names.split()
}

# Quantized arithmetic comes from Q/DQ around float operators, never from these.
INTEGER_OPERATORS = frozenset(
    "QLinearConv QLinearMatMul ConvInteger MatMulInteger DynamicQuantizeLinear".split()
)
# The parser makes a plugin of these, and TensorRT for RTX has no plugin or kernel for it.
WITHOUT_KERNEL = frozenset(
    "NonMaxSuppression NonZero RoiAlign CausalConvWithState LinearAttention".split()
)
# Loops, and outputs whose size depends on values: no CUDA graph can hold them.
NOT_CAPTURABLE = frozenset("NonMaxSuppression NonZero Loop If Scan".split())
# They only move values, so a quantizer passes through them and needs no pair of its own.
COMMUTING = frozenset("MaxPool Transpose Reshape DepthToSpace SpaceToDepth Flatten".split())
# Of those that move values, what a tensor below 8 bits may pass through (each was tried).
LOW_MOVERS = frozenset("Concat Transpose Flatten Reshape Identity".split())
WEIGHTED = frozenset("Conv ConvTranspose Gemm".split())
# Which axis of the weight holds the output channels (ModelOpt, ort_utils.py).
WEIGHT_AXIS = {"Conv": 0, "ConvTranspose": 1}
# Channels that tensor cores take without padding (developer guide, "Optimizing for Tensor Cores").
CHANNEL_MULTIPLE = {"fp32": 4, "fp16": 8, "int8": 32}
