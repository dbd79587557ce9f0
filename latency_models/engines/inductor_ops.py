"""The ONNX operators that the inductor engine can run, each as one PyTorch function.

Every entry takes the node's attributes, its constant inputs and its tensors, and returns the
output. Nothing here looks at values, so that the compiler can trace a whole network as one graph.
Semantics follow the ONNX operator pages (onnx.ai/onnx/operators).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latency_models.base import CompileError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Operator = Callable[["Call"], "Tensor"]


@dataclass(frozen=True)
class Call:
    """One node being run.

    Attributes:
        name: the node's name, for errors.
        attributes: as plain Python values; strings as str.
        inputs: tensors, None for an input left out.
        constants: values of the inputs that are known before running, by position.
    """

    name: str
    attributes: Mapping[str, Any]
    inputs: Sequence[Tensor | None]
    constants: Mapping[int, Any]

    def tensor(self, index: int) -> Tensor:
        """An input that must be there."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise CompileError(f"node '{self.name}' lacks input {index}")
        return value

    def optional(self, index: int) -> Tensor | None:
        """An input that may be left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def scalar(self, index: int) -> float | None:
        """A constant input with one value, None where it is left out."""
        if index not in self.constants:
            return None
        value = self.constants[index]
        return float(value.reshape(-1)[0] if hasattr(value, "reshape") else value)

    def refuse(self, what: str) -> CompileError:
        """The error for a variant of an operator that is not covered."""
        return CompileError(f"inductor engine: node '{self.name}' {what}")


def _padded(call: Call, value: float) -> tuple[Tensor, list[int]]:
    """The data with asymmetric padding applied, and the symmetric padding that remains."""
    from torch.nn import functional

    x = call.tensor(0)
    if call.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise call.refuse("uses auto_pad: write explicit pads")
    pads = list(call.attributes.get("pads", [0] * (2 * (x.dim() - 2))))
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return x, pads[:half]
    order = [p for axis in reversed(range(half)) for p in (pads[axis], pads[half + axis])]
    return functional.pad(x, order, value=value), [0] * half


def _conv(call: Call) -> Tensor:
    import torch

    x, padding = _padded(call, 0.0)
    dims = x.dim() - 2
    return torch.convolution(
        x,
        call.tensor(1),
        call.optional(2),
        list(call.attributes.get("strides", [1] * dims)),
        padding,
        list(call.attributes.get("dilations", [1] * dims)),
        False,
        [0] * dims,
        int(call.attributes.get("group", 1)),
    )


def _conv_transpose(call: Call) -> Tensor:
    import torch

    x = call.tensor(0)
    dims = x.dim() - 2
    pads = list(call.attributes.get("pads", [0] * (2 * dims)))
    if pads[:dims] != pads[dims:] or "output_shape" in call.attributes:
        raise call.refuse("has asymmetric pads or an output_shape")
    if call.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise call.refuse("uses auto_pad: write explicit pads")
    return torch.convolution(
        x,
        call.tensor(1),
        call.optional(2),
        list(call.attributes.get("strides", [1] * dims)),
        pads[:dims],
        list(call.attributes.get("dilations", [1] * dims)),
        True,
        list(call.attributes.get("output_padding", [0] * dims)),
        int(call.attributes.get("group", 1)),
    )


def _max_pool(call: Call) -> Tensor:
    from torch.nn import functional

    if call.attributes.get("ceil_mode", 0):
        raise call.refuse("pools with ceil_mode")
    x, padding = _padded(call, float("-inf"))
    kernel = list(call.attributes["kernel_shape"])
    return functional.max_pool2d(
        x,
        kernel,
        list(call.attributes.get("strides", [1] * len(kernel))),
        padding,
        list(call.attributes.get("dilations", [1] * len(kernel))),
    )


def _average_pool(call: Call) -> Tensor:
    from torch.nn import functional

    if call.attributes.get("ceil_mode", 0):
        raise call.refuse("pools with ceil_mode")
    counted = bool(call.attributes.get("count_include_pad", 0))
    pads = list(call.attributes.get("pads", [0, 0, 0, 0]))
    if pads[:2] != pads[2:] and not counted:
        raise call.refuse("pools with asymmetric pads that are not counted")
    x, padding = _padded(call, 0.0)
    kernel = list(call.attributes["kernel_shape"])
    strides = list(call.attributes.get("strides", [1] * len(kernel)))
    return functional.avg_pool2d(x, kernel, strides, padding, False, counted)


def _depth_to_space(call: Call) -> Tensor:
    x, block = call.tensor(0), int(call.attributes["blocksize"])
    n, c, h, w = x.shape
    deep = c // block**2
    if call.attributes.get("mode", "DCR") == "CRD":
        parts = x.reshape(n, deep, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
    else:
        parts = x.reshape(n, block, block, deep, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, deep, h * block, w * block)


def _space_to_depth(call: Call) -> Tensor:
    x, block = call.tensor(0), int(call.attributes["blocksize"])
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


def _clip(call: Call) -> Tensor:
    import torch

    low, high = call.scalar(1), call.scalar(2)
    if low is None and high is None:
        return call.tensor(0)
    return torch.clamp(call.tensor(0), min=low, max=high)


def _prelu(call: Call) -> Tensor:
    import torch

    x = call.tensor(0)
    return torch.where(x < 0, x * call.tensor(1), x)


def _gemm(call: Call) -> Tensor:
    a, b, c = call.tensor(0), call.tensor(1), call.optional(2)
    a = a.t() if call.attributes.get("transA", 0) else a
    b = b.t() if call.attributes.get("transB", 0) else b
    product = (a @ b) * float(call.attributes.get("alpha", 1.0))
    return product if c is None else product + float(call.attributes.get("beta", 1.0)) * c


def _concat(call: Call) -> Tensor:
    import torch

    return torch.cat([t for t in call.inputs if t is not None], int(call.attributes["axis"]))


def _flatten(call: Call) -> Tensor:
    x = call.tensor(0)
    axis = int(call.attributes.get("axis", 1)) % (x.dim() + 1)
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


def _cast(call: Call) -> Tensor:
    import torch
    from onnx import TensorProto

    known: dict[int, torch.dtype] = {
        TensorProto.FLOAT: torch.float32,
        TensorProto.FLOAT16: torch.float16,
        TensorProto.BFLOAT16: torch.bfloat16,
        TensorProto.UINT8: torch.uint8,
    }
    target = int(call.attributes["to"])
    if target not in known:
        raise call.refuse(f"casts to {TensorProto.DataType.Name(target)}")
    return call.tensor(0).to(known[target])


def _unary(function: str) -> Operator:
    def run(call: Call) -> Tensor:
        import torch

        result: Tensor = getattr(torch, function)(call.tensor(0))
        return result

    return run


def _resize(call: Call) -> Tensor:
    from latency_models.engines.inductor_resize import resize

    return resize(call)


OPERATORS: dict[str, Operator] = {
    "Add": lambda call: call.tensor(0) + call.tensor(1),
    "AveragePool": _average_pool,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda call: call.tensor(0).mean(
        tuple(range(2, call.tensor(0).dim())), keepdim=True
    ),
    "Identity": lambda call: call.tensor(0),
    "MaxPool": _max_pool,
    "Mul": lambda call: call.tensor(0) * call.tensor(1),
    "PRelu": _prelu,
    "Relu": _unary("relu"),
    "Resize": _resize,
    "Round": _unary("round"),
    "Sigmoid": _unary("sigmoid"),
    "SpaceToDepth": _space_to_depth,
    "Sub": lambda call: call.tensor(0) - call.tensor(1),
    "Tanh": _unary("tanh"),
    "Transpose": lambda call: call.tensor(0).permute(list(call.attributes["perm"])),
}
