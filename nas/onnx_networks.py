"""An ONNX file of anybody's: read whole, open dimensions filled in, inputs of numbers given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from latency_models.base import Precision, graph_inputs, io_of
from nas.networks import Form, UnknownNetwork, Unsuitable
from runtime.pictures import IO

_RANK = 4
_MOST_BYTES = 2**31
"""What protobuf holds in one message."""


@dataclass(frozen=True)
class Given:
    """What the user says about one input.

    Attributes:
        values: of an input of whole numbers, row by row; one stands for all.
        shape: of an input whose size nothing else tells.
    """

    values: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class FileNetwork:
    """An ONNX file as it is; only open dimensions are filled in.

    Attributes:
        dims: of the first input that is no weight; None where a dimension is open.
        is_open: whether any input has an open dimension.
        numbers: inputs of whole numbers, whose values only the user knows.
        given: what the user said about other inputs; it is in the file already.
        io: how it takes pictures.
    """

    name: str
    onnx: bytes
    precision: Precision
    dims: tuple[int | None, ...]
    is_open: bool = False
    numbers: tuple[str, ...] = ()
    given: Mapping[str, Given] = field(default_factory=dict)
    io: IO = "float_nchw"

    @property
    def own(self) -> Form:
        """Its own precision and shape; the usual size where that is open."""
        sides = self.dims[1:3] if self.io == "uint8_nhwc" else self.dims[2:]
        open_size = Form().size if len(self.dims) == _RANK else (1,) * len(sides)
        size = tuple(d or o for d, o in zip(sides, open_size, strict=True))
        return Form(self.precision, size, self.dims[0] or 1, self.io)

    def origin(self, form: Form, engine: str) -> str:
        """Which values were put in, where some were."""
        words = [
            f"{name} = {','.join(map(str, told.values)) or 'x'.join(map(str, told.shape))}"
            for name, told in self.given.items()
        ]
        return f"given: {'; '.join(words)}" if words else ""

    def file(self, form: Form, engine: str) -> bytes:
        """The file's own bytes where its shape is static.

        Raises:
            Unsuitable: it is written at another precision, fixed to another shape, or asks for
                numbers that nobody gave.
        """
        if form.precision != self.precision:
            raise Unsuitable(
                f"the file is written at {self.precision}, which no option changes: "
                f"export one at {form.precision}"
            )
        if self.numbers:
            name = self.numbers[0]
            raise Unsuitable(
                f"input '{name}' holds whole numbers, which decide what is computed, so none are "
                f"made up: give them, as in --input {name}=1,3,720,1280"
            )
        last = self.io == "uint8_nhwc"
        channels = self.dims[3:] if last else self.dims[1:2]
        asked = (form.batch, *(form.size + channels if last else channels + form.size))
        if asked == self.dims and not self.is_open:
            return self.onnx
        if asked != self.dims and all(self.dims):
            raise Unsuitable(
                f"the file has a static input {self.dims}, --size and --batch cannot change "
                "it: export it at that shape or with open dimensions"
            )
        if len(asked) != len(self.dims):
            raise Unsuitable(f"the input has {len(self.dims)} dimensions, not {len(asked)}")
        known = [length for length in asked if length is not None]
        if len(known) != len(asked):
            raise Unsuitable("the file leaves its channels open: export it with them fixed")
        wrong = [(a, d) for a, d in zip(asked, self.dims, strict=True) if d and a != d]
        if wrong:
            raise Unsuitable(f"the file fixes a dimension to {wrong[0][1]}, not {wrong[0][0]}")
        return _filled(self.onnx, known)


def _filled(onnx_bytes: bytes, shape: list[int]) -> bytes:
    """Fix the open dimensions: those of the first input, and those of others by their names.

    Raises:
        Unsuitable: another input leaves a dimension open that has no name of the first one's.
    """
    import onnx

    model = onnx.load_model_from_string(onnx_bytes)
    first, *others = graph_inputs(model)
    lengths: dict[str, int] = {}
    for dim, length in zip(first.type.tensor_type.shape.dim, shape, strict=True):
        if dim.dim_value > 0:
            continue
        if dim.dim_param and lengths.setdefault(dim.dim_param, length) != length:
            raise Unsuitable(
                f"the file calls two dimensions '{dim.dim_param}', so they are equal, and "
                f"{lengths[dim.dim_param]} and {length} were asked for"
            )
        dim.dim_value = length
    for value in others:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value <= 0 and dim.dim_param in lengths:
                dim.dim_value = lengths[dim.dim_param]
        _require_shape(value)
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


def _require_shape(value: Any) -> None:
    dims = value.type.tensor_type.shape.dim
    if any(dim.dim_value <= 0 for dim in dims):
        words = ", ".join(dim.dim_param or str(_length(dim) or "?") for dim in dims)
        raise Unsuitable(
            f"input '{value.name}' ({words}) leaves a size open that the first input does not "
            f"tell: give it, as in --input {value.name}=1x3x64x64"
        )


def onnx_network(path: Path, given: Mapping[str, Given] | None = None) -> FileNetwork:
    """Read a file with all that lies beside it.

    Args:
        given: what the user says about its inputs, by their names.

    Raises:
        UnknownNetwork: it cannot be read or run, or has no such input.
    """
    import onnx

    from latency_models.engines.file_facts import file_precision

    model, is_whole = _read(path)
    for name, told in (given or {}).items():
        _give(model, path, name, told)
    inputs = graph_inputs(model)
    if not inputs:
        raise UnknownNetwork(f"{path} is no ONNX file with an input that is left to be timed")
    if not model.graph.output:
        raise UnknownNetwork(f"{path} has no output: it computes nothing")
    dims = tuple(_length(dim) for dim in inputs[0].type.tensor_type.shape.dim)
    if not dims:
        raise UnknownNetwork(f"{path} has an input without dimensions: there is nothing to time")
    wide = {onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.UINT32,
            onnx.TensorProto.UINT64, onnx.TensorProto.INT16, onnx.TensorProto.UINT16}
    return FileNetwork(
        path.stem,
        path.read_bytes() if is_whole and not given else bytes(model.SerializeToString()),
        file_precision(model),
        dims,
        is_open=any(_length(d) is None for v in inputs for d in v.type.tensor_type.shape.dim),
        numbers=tuple(v.name for v in inputs if v.type.tensor_type.elem_type in wide),
        given=dict(given or {}),
        io=io_of(inputs[0]),
    )


def _length(dim: Any) -> int | None:
    """The length of a dimension; some write an open one as -1 or 0."""
    return int(dim.dim_value) if dim.dim_value > 0 else None


def _read(path: Path) -> tuple[Any, bool]:
    """The model with its weights, and whether they all lie in the file itself.

    ONNX's own rules hold for files beside it: they lie in its folder and are no links.

    Raises:
        UnknownNetwork: it cannot be read, or is too large.
    """
    import onnx

    try:
        _require_room(path, path.stat().st_size)
        model = onnx.load(path, load_external_data=False)
        beside = [t for t in _tensors_of(model) if onnx.external_data_helper.uses_external_data(t)]
        _require_room(path, path.stat().st_size + sum(map(_bytes, beside)))
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    except UnknownNetwork:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:300] or type(error).__name__
        raise UnknownNetwork(f"{path} is no ONNX file that can be read: {words}") from error
    return model, not beside


def _require_room(path: Path, size: int) -> None:
    if size >= _MOST_BYTES:
        raise UnknownNetwork(
            f"{path} holds {size / 1e9:.1f} GB with its weights, and engines here are given one "
            "protobuf message, which ends at 2.1 GB: time a part of the network, or write its "
            "weights at a smaller precision"
        )


def _bytes(tensor: Any) -> int:
    from onnx import helper

    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(prod(tensor.dims) * kind.itemsize)


def _tensors_of(model: Any) -> Iterator[Any]:
    """Every tensor in a file: weights, constants, and those of branches and functions."""
    for part in (model.graph, *model.functions):
        yield from _tensors_in(part)


def _tensors_in(part: Any) -> Iterator[Any]:
    yield from getattr(part, "initializer", ())
    for node in part.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            inner = [attribute.g] if attribute.HasField("g") else []
            for graph in (*inner, *attribute.graphs):
                yield from _tensors_in(graph)


def _give(model: Any, path: Path, name: str, told: Given) -> None:
    """Fix one input's shape, or put its values into the file in its place.

    Raises:
        UnknownNetwork: there is no such input, or what was said does not fit it.
    """
    found = {value.name: value for value in graph_inputs(model)}
    if name not in found:
        raise UnknownNetwork(f"{path} has no input '{name}': there are {', '.join(found)}")
    dims = found[name].type.tensor_type.shape.dim
    if told.shape:
        if len(told.shape) != len(dims) or any(
            (_length(dim) or length) != length
            for dim, length in zip(dims, told.shape, strict=False)
        ):
            raise UnknownNetwork(
                f"input '{name}' is {[_length(d) or '?' for d in dims]}, not {list(told.shape)}"
            )
        for dim, length in zip(dims, told.shape, strict=True):
            dim.dim_value = length
        return
    model.graph.initializer.append(_constant(found[name], told))
    model.graph.input.remove(found[name])
    # Before IR 4 every weight had to be listed among the inputs as well.
    model.ir_version = max(model.ir_version, 4)


def _constant(value: Any, told: Given) -> Any:
    """The values of an input as a weight."""
    import numpy as np
    from onnx import helper, numpy_helper

    kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    dims = value.type.tensor_type.shape.dim
    shape = [_length(dim) or (len(told.values) if len(dims) == 1 else 0) for dim in dims]
    if len(told.values) not in (1, prod(shape)) or not all(shape):
        raise UnknownNetwork(
            f"input '{value.name}' is {[_length(d) or '?' for d in dims]}, and "
            f"{len(told.values)} values do not fill it"
        )
    values = np.array(told.values, kind)
    return numpy_helper.from_array(
        np.ascontiguousarray(np.broadcast_to(values.reshape(-1), [prod(shape)])).reshape(shape),
        value.name,
    )
