"""What a user may name on the command line, and the ONNX file that it stands for.

An architecture (JSON, or the bundle of a winner), a published network by its name, an ONNX file,
or a Python function that returns a module. Each gives the file that an engine is to be asked
about, at a precision, a size and a batch, or says why there is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from latency_models.base import Precision
from latency_models.int8_support import largest_weight
from search_spaces.base import Architecture, InvalidArchitecture
from search_spaces.graph import Graph, channels_of
from search_spaces.quantize import CPU_RULES, TENSORRT_RULES, QuantRules
from search_spaces.references import ALIASES, REFERENCES, reference, reference_named
from search_spaces.skeletons import lower

_RANK = 4
_SCALE = 2
ARCHITECTURE = "architecture.json"
CASE = "case.json"
_RECEIPTS = "latency.json"


class UnknownNetwork(ValueError):
    """What was named is no network; the message says what can be named."""


class Unsuitable(Exception):
    """This network cannot be had in the form that was asked for; the message says why."""


@dataclass(frozen=True)
class Form:
    """In which form a network is wanted.

    Attributes:
        size: height and width of the input; whatever follows the channels where it is no image.
        batch: images at once.
    """

    precision: Precision = "int8"
    size: tuple[int, ...] = (360, 640)
    batch: int = 1

    @property
    def shape(self) -> str:
        """The size in words, such as `360x640`."""
        return "x".join(map(str, self.size)) or "-"


class Network(Protocol):
    """Anything that can be compiled and timed."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def own(self) -> Form:
        """The form it is taken in where nothing else is asked for."""

    def file(self, form: Form, engine: str) -> bytes:
        """The ONNX file in this form, as this engine takes it.

        Raises:
            Unsuitable: it does not exist in this form.
        """


def rules_for(engine: str) -> QuantRules:
    """Where this engine wants Q/DQ pairs, and the integers it can add up on this machine."""
    rules = TENSORRT_RULES if engine == "tensorrt" else CPU_RULES
    return replace(rules, weight_max=largest_weight(engine))


@dataclass(frozen=True)
class GraphNetwork:
    """A network of the search's own kind; its files hold untrained weights.

    Attributes:
        shipped: of a bundle, the trained file and its receipt, by precision. It is taken where
            engine and input are those of its receipt.
    """

    name: str
    graph: Graph
    own: Form = field(default_factory=Form)
    shipped: Mapping[str, tuple[Path, Mapping[str, Any]]] = field(default_factory=dict)

    def file(self, form: Form, engine: str) -> bytes:
        """Write it at any precision, size and batch.

        Raises:
            Unsuitable: the size does not divide by the network's strides.
        """
        from search_spaces.untrained import untrained

        channels = channels_of(self.graph.nodes)[0]
        if form.precision in self.shipped:
            path, receipt = self.shipped[form.precision]
            measured = (receipt["engine"], tuple(receipt["input_shape"]))
            if measured == (engine, (form.batch, channels, *form.size)):
                return path.read_bytes()
        if len(form.size) != 2:
            raise Unsuitable(f"an input of size {form.shape} is no image: give height x width")
        height, width = form.size
        try:
            return untrained(
                self.graph,
                precision=form.precision,
                height=height,
                width=width,
                batch=form.batch,
                rules=rules_for(engine),
            )
        except InvalidArchitecture as error:
            raise Unsuitable(f"an input of {form.shape} does not fit: {error}") from error


@dataclass(frozen=True)
class FileNetwork:
    """An ONNX file as it is; only open dimensions are filled in.

    Attributes:
        dims: of the first input; 0 where a dimension is open.
    """

    name: str
    onnx: bytes
    precision: Precision
    dims: tuple[int, ...]

    @property
    def own(self) -> Form:
        """Its own precision and shape; the usual size where that is open."""
        open_size = Form().size if len(self.dims) == _RANK else (1,) * len(self.dims[2:])
        size = tuple(d or o for d, o in zip(self.dims[2:], open_size, strict=True))
        return Form(self.precision, size, self.dims[0] or 1)

    def file(self, form: Form, engine: str) -> bytes:
        """The file's own bytes where its shape is static.

        Raises:
            Unsuitable: it is written at another precision or fixed to another shape.
        """
        if form.precision != self.precision:
            raise Unsuitable(
                f"the file is written at {self.precision}, which no option changes: "
                f"export one at {form.precision}"
            )
        asked = (form.batch, *self.dims[1:2], *form.size)
        if asked == self.dims:
            return self.onnx
        if all(self.dims):
            raise Unsuitable(
                f"the file has a static input {self.dims}, --shape and --batch cannot change "
                "it: export it at that shape or with open dimensions"
            )
        if len(asked) != len(self.dims):
            raise Unsuitable(f"the input has {len(self.dims)} dimensions, not {len(asked)}")
        if not all(self.dims[1:2]):
            raise Unsuitable("the file leaves its channels open: export it with them fixed")
        wrong = [(a, d) for a, d in zip(asked, self.dims, strict=True) if d and a != d]
        if wrong:
            raise Unsuitable(f"the file fixes a dimension to {wrong[0][1]}, not {wrong[0][0]}")
        return _fill_in(self.onnx, asked)


def _fill_in(onnx_bytes: bytes, shape: tuple[int, ...]) -> bytes:
    """Fix the open dimensions of every input that has as many as the first one."""
    import onnx

    model = onnx.load_model_from_string(onnx_bytes)
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) != len(shape):
            continue
        for dim, length in zip(dims, shape, strict=True):
            dim.dim_value = dim.dim_value or length
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


def resolve(spec: str, *, scale: int | None = None, channels: int | None = None) -> Network:
    """The network that was named.

    Args:
        spec: a published network's name, a file, a bundle's folder or `module:function`.
        scale: output size / input size, of published networks; by default 2 where they have it.
        channels: of the input, for `module:function`.

    Raises:
        UnknownNetwork: nothing goes by this name, or it cannot be read.
    """
    if spec in REFERENCES or spec in ALIASES:
        entry = reference_named(spec)
        wanted = entry.nearest_scale(_SCALE) if scale is None else scale
        return GraphNetwork(spec, lower(reference(spec, wanted)), Form(size=entry.size))
    path = Path(spec).expanduser()
    for case in (path / CASE, path.parent / "candidates" / path.name / CASE):
        if case.is_file():
            return _from_case(case)
    if path.is_dir():
        return _from_bundle(path)
    if path.is_file():
        return _from_file(path)
    if ":" in spec:
        from nas.module_networks import ModuleNetwork

        return ModuleNetwork(spec, channels)
    raise UnknownNetwork(
        f"'{spec}' is no network: give an architecture's JSON or its bundle's folder, an ONNX "
        f"file, module:function, or a published network ({', '.join(sorted(REFERENCES))})"
    )


def _from_file(path: Path) -> Network:
    if path.suffix == ".onnx":
        return _from_onnx(path)
    if path.name == CASE:
        return _from_case(path)
    if path.suffix == ".json":
        name = path.resolve().parent.name if path.name == ARCHITECTURE else path.stem
        return GraphNetwork(name, lower(read_architecture(path)))
    raise UnknownNetwork(f"{path} is neither .json nor .onnx: one of these is needed")


def _from_bundle(folder: Path) -> Network:
    """What `nas search` leaves for a winner: the architecture, its trained files, receipts."""
    if not (folder / ARCHITECTURE).is_file():
        raise UnknownNetwork(
            f"{folder} has no {ARCHITECTURE}: give the folder of one winner or candidate, as "
            "in <runs>/<study>/winners/<id>"
        )
    architecture = read_architecture(folder / ARCHITECTURE)
    shipped, own = {}, Form()
    if (folder / _RECEIPTS).is_file():
        for precision, receipt in json.loads((folder / _RECEIPTS).read_text()).items():
            if (folder / f"{precision}.onnx").is_file():
                shipped[precision] = (folder / f"{precision}.onnx", receipt)
                own = Form(precision, tuple(receipt["input_shape"][2:]), receipt["batch_size"])
    return GraphNetwork(folder.resolve().name, lower(architecture), own, shipped)


def _from_case(path: Path) -> Network:
    """A candidate of a search, in the form in which it was timed."""
    architecture = read_architecture(path)
    timed, own = json.loads(path.read_text()).get("screened"), Form()
    if timed:
        own = Form(timed["precision"], tuple(timed["input_shape"][2:]), timed["batch_size"])
    return GraphNetwork(path.resolve().parent.name, lower(architecture), own)


def read_architecture(path: Path) -> Architecture:
    """Read an architecture, or the case file of a candidate, which holds one.

    Raises:
        UnknownNetwork: the file holds neither.
    """
    try:
        data = json.loads(path.read_text())
        return Architecture.from_json(data.get("architecture", data))
    except (ValueError, AttributeError) as error:
        raise UnknownNetwork(f"{path} holds no architecture: {error}") from error


def _from_onnx(path: Path) -> FileNetwork:
    import onnx

    from latency_models.engines.file_facts import file_precision

    try:
        model = onnx.load(path)
        dims = tuple(int(d.dim_value) for d in model.graph.input[0].type.tensor_type.shape.dim)
    except Exception as error:
        words = " ".join(str(error).split())[:300] or type(error).__name__
        raise UnknownNetwork(f"{path} is no ONNX file with an input: {words}") from error
    if not dims:
        raise UnknownNetwork(f"{path} has an input without dimensions: there is nothing to time")
    beside = any(tensor.external_data for tensor in onnx.load(path, load_external_data=False)
                 .graph.initializer)
    content = model.SerializeToString() if beside else path.read_bytes()
    return FileNetwork(path.stem, content, file_precision(model), dims)
