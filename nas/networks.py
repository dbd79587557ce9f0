"""What a user may name on the command line, and the ONNX file that it stands for.

An architecture (JSON, or the bundle of a winner), a published network by its name, an ONNX file,
or a Python function that returns a module. Each gives the file that an engine is to be asked
about, at a precision, a size and a batch, or says why there is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from latency_models.base import PRECISIONS, Precision
from latency_models.engines import engine_class
from latency_models.engines.trt_library import LIBRARIES
from latency_models.int8_support import largest_weight
from nas.candidate import report_in
from nas.durable import read_checked, read_record
from nas.evidence import SCREENED
from nas.kinds import meant
from nas.zoo.entries import folder_of, names
from runtime.pictures import IO
from search_spaces.base import Architecture, InvalidArchitecture
from search_spaces.graph import Graph
from search_spaces.quantize import (
    CPU_RULES,
    ONNXRUNTIME_RULES,
    TENSORRT_RULES,
    QuantRules,
)
from search_spaces.references import ALIASES, REFERENCES, reference, reference_named
from search_spaces.skeletons import lower
from trainers.base import Damaged

if TYPE_CHECKING:
    from nas.onnx_networks import Given

_SCALE = 2
ARCHITECTURE = "architecture.json"
CASE = "case.json"
MANIFEST = "manifest.json"
"""The sha256 of every other file of a bundle."""
_RECEIPTS = "latency.json"
_FILES = (".json", ".onnx")
_RULES = dict.fromkeys(LIBRARIES, TENSORRT_RULES) | {"onnxruntime": ONNXRUNTIME_RULES}


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
        io: how pictures enter and leave a file that is written for it.
    """

    precision: Precision = "int8"
    size: tuple[int, ...] = (360, 640)
    batch: int = 1
    io: IO = "uint8_nhwc"

    @property
    def shape(self) -> str:
        """The size in words, such as `360x640`."""
        return "x".join(map(str, self.size)) or "-"


class NetworkSource(Protocol):
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

    def origin(self, form: Form, engine: str) -> str:
        """Where that file comes from, in a few words; empty where nobody could mistake it."""


def usual_precision(network: NetworkSource, engine: str) -> Precision:
    """The precision that is taken where none is asked for: the network's own.

    TensorRT for RTX does not fuse int8 convolutions (docs/tensorrt.md), so what could be written
    at any precision is taken in fp16 there.
    """
    free = isinstance(network, GraphNetwork) and network.bundle is None
    if engine == "tensorrt_rtx" and free and network.own.precision == "int8":
        return "fp16"
    return network.own.precision


def rules_for(engine: str, io: IO = "float_nchw") -> QuantRules:
    """Where this engine wants Q/DQ pairs, and the integers it can add up on this machine.

    A user's own (`module:Class`) may say it as its attribute `rules`; else it is taken for a
    CPU's.
    """
    if ":" in engine:
        own: QuantRules = getattr(engine_class(engine), "rules", CPU_RULES)
        return replace(own, io=io)
    return replace(_RULES.get(engine, CPU_RULES), weight_max=largest_weight(engine), io=io)


@dataclass(frozen=True)
class Shipped:
    """A trained file of a bundle.

    Attributes:
        engine: that it was written for; empty where nothing tells.
        form: that it was written in.
    """

    path: Path
    engine: str
    form: Form

    def suits(self, form: Form, engine: str) -> bool:
        """Whether it is what this engine would be given in this form.

        Engines want quantizers in int8 files at other places and with other zero points; all
        else is alike.
        """
        rules = _RULES.get(self.engine, CPU_RULES), _RULES.get(engine, CPU_RULES)
        alike = rules[0] == rules[1] or form.precision != "int8"
        return form == self.form and (alike or not self.engine)


@dataclass(frozen=True)
class GraphNetwork:
    """A network of the search's own kind; its files hold untrained weights, unless it shipped.

    Attributes:
        shipped: of a bundle, the trained files by precision. They are taken at their shapes.
        bundle: the folder of the bundle; None for a network that never shipped.
    """

    name: str
    graph: Graph
    own: Form = field(default_factory=Form)
    shipped: Mapping[Precision, Shipped] = field(default_factory=dict)
    bundle: Path | None = None

    def origin(self, form: Form, engine: str) -> str:
        """Of a bundle: whether this is its shipped file or one that was written anew."""
        if self.bundle is None:
            return ""
        found = self._shipped(form, engine)
        if found is not None:
            return f"the shipped file, {found.path}"
        return (
            f"written anew with untrained weights: {self.bundle} ships no {form.precision} file "
            f"for {engine} at {form.batch} x {form.shape}"
        )

    def _shipped(self, form: Form, engine: str) -> Shipped | None:
        found = self.shipped.get(form.precision)
        return found if found is not None and found.suits(form, engine) else None

    def file(self, form: Form, engine: str) -> bytes:
        """The shipped file where this is its form; else written at any precision and size.

        Raises:
            Unsuitable: the size does not divide by the network's strides, or the shipped file
                cannot be read.
        """
        from search_spaces.untrained import untrained

        found = self._shipped(form, engine)
        if found is not None:
            try:
                return found.path.read_bytes()
            except OSError as error:
                raise Unsuitable(f"cannot read {found.path} ({error.strerror})") from error
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
                rules=rules_for(engine, form.io),
            )
        except InvalidArchitecture as error:
            raise Unsuitable(f"an input of {form.shape} does not fit: {error}") from error


def resolve(
    spec: str,
    *,
    scale: int | None = None,
    channels: int | None = None,
    given: Mapping[str, Given] | None = None,
) -> NetworkSource:
    """The network that was named.

    Args:
        spec: the name of a published network or of one in the zoo, a file, a bundle's folder or
            `module:function`.
        scale: output size / input size, of published networks; by default 2 where they have it.
        channels: of the input, for `module:function`.
        given: values or shapes of inputs, for an ONNX file.

    Raises:
        UnknownNetwork: nothing goes by this name, or it cannot be read.
    """
    if spec in REFERENCES or spec in ALIASES:
        entry = reference_named(spec)
        wanted = entry.nearest_scale(_SCALE) if scale is None else scale
        return GraphNetwork(spec, lower(reference(spec, wanted)), Form(size=entry.size))
    path = folder_of(spec) or Path(spec).expanduser()
    if (path / ARCHITECTURE).is_file():
        return _from_bundle(path)
    for case in (path / CASE, path.parent / "candidates" / path.name / CASE):
        if case.is_file():
            return _from_case(case)
    if path.is_dir():
        raise UnknownNetwork(
            f"{path} has no {ARCHITECTURE}: give the folder of one winner or candidate, as "
            "in <runs>/<study>/winners/<id>"
        )
    if path.is_file():
        return _from_file(path, given)
    if ":" in spec:
        from nas.module_networks import ModuleNetwork

        return ModuleNetwork(spec, channels)
    if path.suffix in _FILES or len(path.parts) > 1:
        raise UnknownNetwork(f"there is no file or folder {path}: give one that is there")
    close = meant(spec, [*REFERENCES, *ALIASES, *names()])
    raise UnknownNetwork(
        f"'{spec}' is no network{close}: give an architecture's JSON or its bundle's folder, an "
        f"ONNX file, module:function, or a published network ({', '.join(sorted(REFERENCES))})"
    )


def _from_file(path: Path, given: Mapping[str, Given] | None) -> NetworkSource:
    if path.suffix == ".onnx":
        from nas.onnx_networks import onnx_network

        return onnx_network(path, given)
    if path.name == CASE:
        if (path.parent / ARCHITECTURE).is_file():
            return _from_bundle(path.parent)
        return _from_case(path)
    if path.suffix == ".json":
        name = path.resolve().parent.name if path.name == ARCHITECTURE else path.stem
        return GraphNetwork(name, lower(read_architecture(path)))
    raise UnknownNetwork(f"{path} is neither {' nor '.join(_FILES)}: one of these is needed")


def _from_bundle(folder: Path) -> NetworkSource:
    """What `nas search` leaves for a winner: the architecture, its trained files, receipts."""
    architecture = read_architecture(folder / ARCHITECTURE)
    receipts: Mapping[str, Receipt] = {}
    if (folder / _RECEIPTS).is_file():
        remedy = "export it again, or remove it"
        receipts = read_record(folder / _RECEIPTS, _receipts, remedy=remedy)
    shipped, own = {}, Form()
    for precision in PRECISIONS:
        path = folder / f"{precision}.onnx"
        if path.is_file():
            _check_manifest(path)
            shipped[precision] = _shipped(path, precision, receipts.get(precision))
            own = shipped[precision].form
    name = folder.resolve().name
    return GraphNetwork(name, lower(architecture), own, shipped, folder if shipped else None)


def _check_manifest(path: Path) -> None:
    """Refuse a file that is not what its bundle was made with; old bundles do not say.

    Raises:
        UnknownNetwork: it has changed since.
    """
    manifest = path.parent / MANIFEST
    if not manifest.is_file():
        return
    try:
        read_checked(
            path, json.loads(manifest.read_text()).get(path.name, ""),
            remedy="export it again, or name the file itself to time it as it is",
        )
    except (ValueError, AttributeError, Damaged) as error:
        raise UnknownNetwork(str(error)) from error


Receipt = tuple[str, Form]
"""The engine that a file was written for, and its form."""


def _receipts(data: Any) -> dict[str, Receipt]:
    return {
        str(precision): (
            str(receipt["engine"]),
            _form(precision, receipt["input_shape"], receipt.get("io", "float_nchw")),
        )
        for precision, receipt in data.items()
        if isinstance(receipt, Mapping) and "engine" in receipt
    }


def _form(precision: Precision, shape: Sequence[int], io: IO) -> Form:
    """The form of a file whose input has this shape."""
    sides = shape[1:3] if io == "uint8_nhwc" else shape[2:]
    return Form(precision, tuple(map(int, sides)), int(shape[0]), io)


def _shipped(path: Path, precision: Precision, receipt: Receipt | None) -> Shipped:
    """A trained file; its input as its receipt says, or as itself does."""
    if receipt is not None:
        return Shipped(path, *receipt)
    from nas.onnx_networks import onnx_network

    network = onnx_network(path)
    dims = [length or 0 for length in network.dims]
    return Shipped(path, "", _form(precision, dims, network.io))


def _from_case(path: Path) -> NetworkSource:
    """A candidate of a search, in the form in which it was timed."""
    architecture = read_architecture(path)
    own = read_record(path, _timed_form, remedy="name another one")
    return GraphNetwork(path.resolve().parent.name, lower(architecture), own)


def _timed_form(case: Any) -> Form:
    timed = report_in(case, SCREENED)
    if timed is None:
        return Form()
    return _form(timed.precision, timed.input_shape, timed.io)


def read_architecture(path: Path) -> Architecture:
    """Read an architecture, or the case file of a candidate, which holds one.

    Raises:
        UnknownNetwork: the file holds neither.
    """
    try:
        data = json.loads(path.read_text())
        found = Architecture.from_json(data.get("architecture", data))
        lower(found)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise UnknownNetwork(f"{path} holds no architecture: {error}") from error
    return found
