"""Pictures of 8 bits at the two ends of a file, as cameras, decoders and numpy have them.

Between float tensors of a picture and such a file a caller converts, transposes and copies, and
an engine moves four times the bytes. Inside the file both ends cost less: the first layer reads
the levels through a DequantizeLinear of scale 1/255 (with a zero point of 128 where the network
centres its picture), and what leaves is rounded to levels *before* the shuffle that makes it a
picture, so that the shuffle moves bytes. That rounding happens to every picture that is shown.

Pure data: which nodes that concerns, and the nodes that are written for them.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from search_spaces.graph import Graph, Shape
from search_spaces.onnx_ops import NodeList
from search_spaces.primitives import DepthToSpace, Input, Primitive, Shift, Slice, SpaceToDepth

LEVELS = 255
_WHOLE = 1e-3
_AXES = ("DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE")
_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def levels_entering(graph: Graph) -> dict[int, int]:
    """Nodes that hold levels of a picture that came in, with the level that means zero."""
    found: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Input):
            if node.kind == "image" and node.scale is not None:
                found[index] = 0
        elif (before := found.get(node.inputs[0])) is not None:
            moved = _levels_moved(node)
            if moved is not None and 0 <= before + moved <= LEVELS:
                found[index] = before + moved
    return found


def _levels_moved(node: Primitive) -> int | None:
    """By how many levels a node moves the zero; None where it does anything else."""
    if isinstance(node, SpaceToDepth | DepthToSpace | Slice):
        return 0
    moved = -node.value * LEVELS if isinstance(node, Shift) else 0.5
    return round(moved) if abs(moved - round(moved)) < _WHOLE else None


def moved_leaving(graph: Graph) -> set[int]:
    """Shuffles that nothing follows but the picture they make: they can move levels."""
    readers, ends = graph.consumers(), list(graph.outputs.values())
    found: set[int] = set()
    for name, index in graph.outputs.items():
        if name not in graph.pictures:
            continue
        while isinstance(node := graph.nodes[index], DepthToSpace):
            if len(readers[index]) + ends.count(index) > 1:
                break
            found.add(index)
            index = node.inputs[0]
    return found


class ByteEnds:
    """Writes what stands between levels and numbers in one file.

    Attributes:
        last: whether channels come last in the file's pictures.
    """

    def __init__(self, file: NodeList, *, last: bool, quantizers: bool) -> None:
        """Begin.

        Args:
            last: channels come last.
            quantizers: whether the engine knows uint8 quantizers; else arithmetic of the same
                values is written, with no shuffle of levels.
        """
        self._file, self.last, self.quantizers = file, last, quantizers

    def enter(self, name: str) -> str:
        """The levels of an input (N, H, W, C) or (N, C, H, W) as (N, C, H, W)."""
        if not self.last:
            return name
        return self._file.op("Transpose", [name], f"{name}.nchw", perm=_TO_NCHW)

    def real(self, levels: str, zero: int, out: str) -> str:
        """(level - zero) / 255 in the file's float type."""
        file, half = self._file, self._file.float_type is np.float16
        if self.quantizers:
            made = f"{out}.fp32" if half else out
            inputs = [levels, *self._constants(made, zero)]
            file.op("DequantizeLinear", inputs, made)
            return file.op("Cast", [made], out, to=TensorProto.FLOAT16) if half else out
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        made = file.op("Cast", [levels], f"{out}.cast", to=kind)
        if zero:
            made = file.op("Sub", [made, file.real(f"{out}.middle", zero)], f"{out}.centred")
        return file.op("Mul", [made, file.real(f"{out}.step", 1.0 / LEVELS)], out)

    def levels(self, real: str, out: str) -> str:
        """Numbers rounded and clipped to the levels of a picture."""
        file, half = self._file, self._file.float_type is np.float16
        if self.quantizers:
            if half:
                real = file.op("Cast", [real], f"{out}.fp32", to=TensorProto.FLOAT)
            return file.op("QuantizeLinear", [real, *self._constants(out, 0)], out)
        made = file.op("Mul", [real, file.real(f"{out}.levels", LEVELS)], f"{out}.scaled")
        made = file.op("Round", [made], f"{out}.rounded")
        ends = [file.real(f"{out}.low", 0.0), file.real(f"{out}.high", LEVELS)]
        made = file.op("Clip", [made, *ends], f"{out}.clipped")
        return file.op("Cast", [made], out, to=TensorProto.UINT8)

    def leave(self, levels: str, name: str) -> None:
        """Levels (N, C, H, W) as the output of this name."""
        if self.last:
            self._file.op("Transpose", [levels], name, perm=_TO_NHWC)
        elif levels != name:
            self._file.op("Identity", [levels], name)

    def interface(self, name: str, shape: Shape) -> onnx.ValueInfoProto:
        """A picture (N, C, H, W) as the file takes or gives it, its axes by ONNX's names."""
        sides = list(zip(_AXES, shape, strict=True))
        axes = [sides[axis] for axis in (_TO_NHWC if self.last else range(4))]
        value = helper.make_tensor_value_info(name, TensorProto.UINT8, [n for _, n in axes])
        for (axis, _), dim in zip(axes, value.type.tensor_type.shape.dim, strict=True):
            dim.denotation = axis
        return value

    def _constants(self, name: str, zero: int) -> list[str]:
        step = self._file.constant(f"{name}.step", np.array(1.0 / LEVELS, np.float32))
        return [step, self._file.constant(f"{name}.zero", np.array(zero, np.uint8))]
