"""Pictures of 8 bits at the two ends of a file, as cameras, decoders and numpy have them.

Between float tensors of a picture and such a file a caller converts, transposes and copies, and
an engine moves four times the bytes. Inside the file both ends cost less: the first layer reads
the levels through a DequantizeLinear of scale 1/255 (with a zero point of 128 where the network
centres its picture), and what leaves is rounded to levels *before* the shuffle that makes it a
picture, so that the shuffle moves bytes. That rounding happens to every picture that is shown.

Pure data: which nodes that concerns, and the nodes that are written for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from runtime.pictures import IO
from search_spaces.graph import Graph, Shape
from search_spaces.onnx_ops import NodeList, Written, write_plain
from search_spaces.primitives import DepthToSpace, Input, Primitive, Shift, Slice, SpaceToDepth
from search_spaces.quantize import UINT8_MAX

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
            if moved is not None and 0 <= before + moved <= UINT8_MAX:
                found[index] = before + moved
    return found


def _levels_moved(node: Primitive) -> int | None:
    """By how many levels a node moves the zero; None where it does anything else."""
    if isinstance(node, SpaceToDepth | DepthToSpace | Slice):
        return 0
    moved = -node.value * UINT8_MAX if isinstance(node, Shift) else 0.5
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
    """What of one file holds levels, and the nodes that stand between levels and numbers."""

    def __init__(
        self, graph: Graph, shapes: Sequence[Shape], file: NodeList, *, io: IO, quantizers: bool
    ) -> None:
        """Begin.

        Args:
            shapes: of each node, (N, C, H, W).
            quantizers: whether the engine knows uint8 quantizers; else arithmetic of the same
                values is written, and bytes are cast where they enter and leave: TensorRT
                computes nothing on them.
        """
        self._graph, self._shapes, self._file = graph, shapes, file
        self._bytes, self._last = io != "float_nchw", io == "uint8_nhwc"
        self.quantizers = self._bytes and quantizers
        self._zeros = levels_entering(graph) if self._bytes else {}
        self._moved = moved_leaving(graph) if self.quantizers else set[int]()
        self._levels: dict[int, str] = {}
        """Tensors of levels by node, those that have been written."""

    def enters(self, index: int) -> bool:
        """Whether a node holds levels that came in."""
        return index in self._zeros

    def leaves(self, index: int) -> bool:
        """Whether a node is a shuffle of levels that go out."""
        return index in self._moved

    def shows(self, name: str, index: int) -> bool:
        """Whether an output is given as levels."""
        picture = name in self._graph.pictures and len(self._shapes[index]) == len(_AXES)
        return self._bytes and picture

    def write_entering(self, index: int, out: str) -> None:
        """What came in as levels: moved as such, and as numbers for whatever computes."""
        node = self._graph.nodes[index]
        if isinstance(node, Input):
            levels, file = node.name, self._file
            if not self.quantizers:
                levels = file.op("Cast", [levels], f"{levels}.number", to=self._kind)
            if self._last:
                levels = file.op("Transpose", [levels], f"{node.name}.nchw", perm=_TO_NCHW)
            self._levels[index] = levels
        elif isinstance(node, Shift):
            self._levels[index] = self._levels[node.inputs[0]]
        else:
            self._levels[index] = self._move(index, self._levels[node.inputs[0]])
        readers = self._graph.consumers()[index]
        if index in self._graph.outputs.values() or not self._zeros.keys() >= set(readers):
            self._real(self._levels[index], self._zeros[index], out)

    def write_leaving(self, index: int, source: str) -> None:
        """A shuffle at the end, of levels."""
        before = self._graph.nodes[index].inputs[0]
        levels = self._levels[before] if before in self._moved else ""
        self._levels[index] = self._move(
            index, levels or self._rounded(source, f"t{before}.levels")
        )

    def write_output(self, name: str, index: int, source: str) -> None:
        """A picture that leaves, as levels."""
        moved = index in self._moved
        levels = self._levels[index] if moved else self._rounded(source, f"{name}.levels")
        if self._last:
            out = name if self.quantizers else f"{name}.nhwc"
            levels = self._file.op("Transpose", [levels], out, perm=_TO_NHWC)
        if not self.quantizers:
            self._file.op("Cast", [levels], name, to=TensorProto.UINT8)
        elif levels != name:
            self._file.op("Identity", [levels], name)

    def interface(self, name: str, index: int) -> onnx.ValueInfoProto:
        """A picture as the file takes or gives it, its axes by ONNX's names."""
        sides = list(zip(_AXES, self._shapes[index], strict=True))
        axes = [sides[axis] for axis in (_TO_NHWC if self._last else range(4))]
        value = helper.make_tensor_value_info(name, TensorProto.UINT8, [n for _, n in axes])
        for (axis, _), dim in zip(axes, value.type.tensor_type.shape.dim, strict=True):
            dim.denotation = axis
        return value

    def _move(self, index: int, levels: str) -> str:
        node, out = self._graph.nodes[index], f"t{index}.levels"
        given = self._shapes[node.inputs[0]]
        write_plain(node, Written(self._file, [levels], out, given, self._shapes[index]))
        return out

    def _real(self, levels: str, zero: int, out: str) -> str:
        """(level - zero) / 255 in the file's float type."""
        file, half = self._file, self._file.float_type is np.float16
        if self.quantizers:
            made = f"{out}.fp32" if half else out
            inputs = [levels, *self._constants(made, zero)]
            file.op("DequantizeLinear", inputs, made)
            return file.op("Cast", [made], out, to=TensorProto.FLOAT16) if half else out
        if zero:
            levels = file.op("Sub", [levels, file.real(f"{out}.middle", zero)], f"{out}.centred")
        return file.op("Mul", [levels, file.real(f"{out}.step", 1.0 / UINT8_MAX)], out)

    def _rounded(self, real: str, out: str) -> str:
        """Numbers rounded and clipped to the levels of a picture."""
        file, half = self._file, self._file.float_type is np.float16
        if self.quantizers:
            if half:
                real = file.op("Cast", [real], f"{out}.fp32", to=TensorProto.FLOAT)
            return file.op("QuantizeLinear", [real, *self._constants(out, 0)], out)
        made = file.op("Mul", [real, file.real(f"{out}.all", UINT8_MAX)], f"{out}.scaled")
        ends = [file.real(f"{out}.low", 0.0), file.real(f"{out}.high", UINT8_MAX)]
        made = file.op("Clip", [made, *ends], f"{out}.clipped")
        return file.op("Round", [made], out)

    @property
    def _kind(self) -> int:
        half = self._file.float_type is np.float16
        return int(TensorProto.FLOAT16 if half else TensorProto.FLOAT)

    def _constants(self, name: str, zero: int) -> list[str]:
        step = self._file.constant(f"{name}.level", np.array(1.0 / UINT8_MAX, np.float32))
        return [step, self._file.constant(f"{name}.middle", np.array(zero, np.uint8))]
