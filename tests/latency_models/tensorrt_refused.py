"""Small files that TensorRT for RTX refuses, with its words and the rules that foresee it."""

from __future__ import annotations

from tensorrt_files import ATTENTION, Small, one

REFUSED = (
    Small(
        "a cast to a type that is not there",
        "g (float[4] x) => (float[4] y) { z = Cast<to=5>(x) y = Cast<to=1>(z) }",
        "Unsupported data type for the Cast",
        ("operator type", "tensor type"),
    ),
    Small(
        "a cast to FP8",
        "g (float[4] x) => (float[4] y) { z = Cast<to=17>(x) y = Cast<to=1>(z) }",
        "has datatype FP8 but is not produced by",
        ("operator type",),
    ),
    Small(
        "a cast to INT4",
        "g (float[4] x) => (float[4] y) { z = Cast<to=22>(x) y = Cast<to=1>(z) }",
        "has datatype Int4 but is not produced by",
        ("operator type",),
        opset=21,
    ),
    Small(
        "a cast to the type of an FP4 tensor",
        "g (float[4] x, float4e2m1[4] t) => (float[4] y) { z = CastLike(x, t) y = Cast<to=1>(z) }",
        "has datatype FP4",
        ("operator type",),
        opset=25,
    ),
    Small(
        "UINT8 inside of the network",
        "g (float[4] x) => (float[4] y) { z = Cast<to=2>(x) y = Cast<to=1>(z) }",
        "does not support UINT8 types for intermediate tensors",
        ("operator type",),
    ),
    Small(
        "a picture in bytes that is transposed first",
        "g (uint8[1,8,8,3] x) => (float[A,B,C,D] y) "
        "{ z = Transpose<perm=[0,3,1,2]>(x) y = Cast<to=1>(z) }",
        "first input has type UInt8",
        ("operator type",),
    ),
    Small(
        "FP8 that is gathered before it is dequantized",
        "g (float8e4m3fn[8] x) => (float[1] y) <float s={0.5}, int64[1] i={0}> "
        "{ z = Gather(x, i) y = DequantizeLinear(z, s) }",
        "has datatype FP8 but is not consumed by",
        ("operator type",),
        opset=21,
    ),
    Small(
        "an odd number of INT4 values",
        "g (int4[3] x) => (float[3] y) <float s={0.5}> { y = DequantizeLinear(x, s) }",
        "odd tensor volume",
        ("quantized type",),
        opset=21,
    ),
    Small(
        "an INT8 constant that is no weight",
        one("Add(x, c)", kind="int8", constants="int8[1] c={1}"),
        "Quantized constant (c) is only allowed before DQ",
        ("int8 constant",),
    ),
    Small(
        "a 16-bit integer constant",
        one("Pow(x, c)", constants="uint32[1] c={2}"),
        "Failed to import initializer",
        ("tensor type",),
    ),
    Small(
        "non-maximum suppression",
        "g (float[1,6,4] b, float[1,1,6] s) => (int64[N,3] y) <int64[1] m={3}> "
        "{ y = NonMaxSuppression(b, s, m) }",
        "has no runners that implement it",
        ("operator",),
        ("cuda graph",),
    ),
    Small(
        "the places that are not zero",
        one("NonZero(x)", out="int64").replace("[A,B,C,D] y", "[A,B] y"),
        "NonZero plugin creator",
        ("operator",),
        ("cuda graph",),
    ),
    Small(
        "regions of interest",
        "g (float[1,4,8,8] x, float[2,4] r) => (float[A,B,C,D] y) <int64[2] m={0,0}> "
        "{ y = RoiAlign(x, r, m) }",
        "ROIAlign plugin was not found",
        ("operator",),
    ),
    Small(
        "a scatter that adds",
        "g (float[4] x, float[2] u) => (float[4] y) <int64[2,1] i={0,1}> "
        '{ y = ScatterND<reduction="add">(x, i, u) }',
        "ScatterND with reduction is not supported",
        ("attribute",),
    ),
    Small(
        "a scatter of elements that adds",
        "g (float[4] x, float[2] u) => (float[4] y) <int64[2] i={0,1}> "
        '{ y = ScatterElements<reduction="add">(x, i, u) }',
        "Unsupported reduction type",
        ("attribute",),
    ),
    Small(
        "dropout in training mode",
        one("Dropout(x, r, t)", constants="float r={0.5}, bool t={1}"),
        "does not support the Dropout operator in training mode",
        ("training",),
    ),
    Small(
        "dropout that is told by an input whether it trains",
        "g (float[4] x, bool t) => (float[4] y) <float r={0.5}> { y = Dropout(x, r, t) }",
        "only supports the training_mode input as an initializer",
        ("constant input",),
    ),
    Small(
        "a shape that is an input",
        "g (int64[2] x) => (float[A,B] y) { y = ConstantOfShape(x) }",
        "dynamic or shape inputs",
        ("constant input",),
    ),
    Small(
        "a new shape that is an input",
        "g (float[4,4] x, int64[2] s) => (float[A,B] y) { y = Reshape(x, s) }",
        "dynamic or shape inputs",
        ("constant input",),
    ),
    Small(
        "pads that are an input",
        "g (float[1,4,8,8] x, int64[8] p) => (float[A,B,C,D] y) { y = Pad(x, p) }",
        "dynamic or shape inputs",
        ("constant input",),
    ),
    Small(
        "axes of a reduction that are added up",
        one("ReduceMean(x, s)", constants="int64[1] a={1}, int64[1] b={1}").replace(
            "{ y", "{ s = Add(a, b) y"
        ),
        "must resolve to a build-time constant",
        ("constant input",),
    ),
    Small(
        "a vector times a batch of matrices",
        "g (float[4] x, float[2,4,5] w) => (float[A,B] y) { y = MatMul(x, w) }",
        "reshape changes volume",
        ("rank",),
    ),
    Small(
        "the largest of a vector",
        "g (float[8] x) => (int64[1] y) { y = ArgMax(x) }",
        "at least 2 dimensions are required",
        ("rank",),
    ),
    Small(
        "the best 4000",
        "g (float[1,8000] x) => (float[A,B] y, int64[A,B] i) <int64[1] k={4000}> "
        "{ y, i = TopK(x, k) }",
        "K exceeds the maximum value allowed",
        ("attribute",),
    ),
    Small(
        "a remainder of floats with the sign of the divisor",
        one("Mod(x, c)", constants="float[1] c={2}"),
        "Inputs cannot be of floating point types",
        ("attribute",),
    ),
    Small(
        "a Celu in half precision",
        one("Celu(x)", kind="float16"),
        "rank of operands should be the same",
        ("operator type",),
    ),
    Small(
        "a sum before ONNX broadcast",
        one("Add(x, x)"),
        "Pre-opset 7 broadcasting is unsupported",
        ("opset",),
        ("opset",),
        opset=6,
    ),
    Small(
        "attention in single precision",
        ATTENTION.format("float[1,4,64,16]", ""),
        "not supported by a dedicated kernel",
        ("attention kernel",),
        opset=24,
    ),
    Small(
        "attention with small heads",
        ATTENTION.format("float16[1,4,64,8]", ""),
        "not supported by a dedicated kernel",
        ("attention kernel",),
        opset=24,
    ),
    Small(
        "attention with a soft cap",
        ATTENTION.format("float16[1,4,64,16]", "<softcap=2.0>"),
        "Setting softcap is not supported",
        ("attribute",),
        opset=24,
    ),
)
