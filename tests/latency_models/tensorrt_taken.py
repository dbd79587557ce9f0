"""Small files that TensorRT for RTX builds: rightly, or into another network than was written."""

from __future__ import annotations

from tensorrt_files import ATTENTION, Small, one

TAKEN = (
    Small("opset 7", one("Relu(x)"), advice=("opset",), opset=7),
    Small("opset 28", one("Relu(x)"), advice=("opset",), opset=28),
    Small(
        "double precision, which becomes single precision",
        one("Mul(x, c)", kind="double", constants="double[1] c={2}"),
        advice=("tensor type",),
    ),
    Small("an input without axes", "g (float x) => (float y) { y = Relu(x) }"),
    Small("an input without values", "g (float[0,4] x) => (float[0,4] y) { y = Relu(x) }"),
    Small(
        "a pool over one axis",
        "g (float[1,4,8] x) => (float[A,B,C] y) { y = MaxPool<kernel_shape=[2]>(x) }",
    ),
    Small(
        "a grid over three axes",
        "g (float[1,4,4,4,4] x, float[1,2,2,2,3] g) => (float[A,B,C,D,E] y) "
        "{ y = GridSample(x, g) }",
    ),
    Small(
        "pads that are computed from a shape",
        one("Pad(x, p)").replace("{ y", "{ s = Shape(x) p = Concat<axis=0>(s, s) y"),
    ),
    Small(
        "axes of a reduction that are cast",
        one("ReduceMean(x, s)", constants="int32[1] a={1}").replace(
            "{ y", "{ s = Cast<to=7>(a) y"
        ),
    ),
    Small(
        "axes of a squeeze that are added up",
        "g (float[1,4] x) => (float[4] y) <int64[1] a={1}, int64[1] b={1}> "
        "{ s = Sub(a, b) y = Squeeze(x, s) }",
    ),
    Small(
        "a scale that is computed from constants",
        "g (float[4] x) => (float[4] y) <float a={0.25}, int8 z={0}> "
        "{ s = Sqrt(a) q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
    ),
    Small(
        "a zero point that is left out",
        "g (float[4] x) => (float[4] y) <float s={0.25}> "
        "{ q = QuantizeLinear(x, s) y = DequantizeLinear(q, s) }",
        advice=("int8 zero point",),
    ),
    Small(
        "a half-precision scale before ONNX knew it",
        "g (float16[4] x) => (float16[4] y) <float h={0.25}, int8 z={0}> "
        "{ s = Cast<to=10>(h) q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        advice=("fp16 scale opset",),
        opset=18,
    ),
    Small(
        "FP8 that is reshaped before it is dequantized",
        "g (float8e4m3fn[8] x) => (float[A,B] y) <float s={0.5}, int64[2] i={2,4}> "
        "{ z = Reshape(x, i) y = DequantizeLinear(z, s) }",
        opset=21,
    ),
    Small("a picture in bytes", one("Cast<to=1>(x)", kind="uint8", out="float")),
    Small("sums of bytes", one("Add(x, x)", kind="int8")),
    Small("attention over heads of 16", ATTENTION.format("float16[1,4,64,16]", ""), opset=24),
    Small(
        "attention that the builder takes apart",
        ATTENTION.format("float[1,64,64]", "<q_num_heads=4, kv_num_heads=4>"),
        opset=24,
    ),
    Small("a local response normalization", one("LRN<size=3>(x)")),
    Small("Swish", one("Swish(x)"), opset=24),
    Small("the upper triangle", one("Trilu(x)")),
    Small("a hyperbolic cosine", one("Cosh(x)")),
    Small("not a number", one("IsNaN(x)", out="bool")),
)

KEPT = (
    Small(
        "an operator of another domain, built as ONNX's own",
        one("com.example.Relu(x)"),
        rules=("operator",),
    ),
    Small(
        "a window of attention, built without it",
        ATTENTION.format("float16[1,4,64,16]", "<left_window_size=2>"),
        rules=("attribute",),
        advice=("opset",),
        opset=28,
    ),
    Small(
        "a scale that depends on the picture, documented as a constant",
        "g (float[4] x) => (float[4] y) <int8 z={0}> { s = ReduceMax<keepdims=0>(x) "
        "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        rules=("constant scale",),
    ),
    Small(
        "a UINT8 zero point, read as INT8",
        "g (float[4] x) => (float[4] y) <float s={0.25}, uint8 z={0}> "
        "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        rules=("int8 zero point",),
    ),
)
