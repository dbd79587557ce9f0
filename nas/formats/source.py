"""A bundle as every format is given it: the Graph, and the weights that its fp32 file holds.

Transposed convolutions become convolutions and pixel shuffles (`search_spaces/transposed.py`), so
that no format has to know them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from nas.formats.base import Source, Unwritable
from runtime.manifest import ARCHITECTURE, BadBundle, Manifest, read_manifest
from runtime.planes import planes_of
from search_spaces.base import Architecture, InvalidArchitecture
from search_spaces.graph import Graph, channels_of, shapes_of
from search_spaces.primitives import Activation, Conv, ConvTranspose, DepthToSpace, Primitive
from search_spaces.reach import multiple_of
from search_spaces.skeletons import lower
from search_spaces.transposed import runs_as_convolution, taps
from search_spaces.weights import Weights

FILE, PARITY = "fp32.onnx", "parity.json"
Arrays = dict[str, NDArray[np.float32]]


def read_source(bundle: Path) -> Source:
    """A bundle's network with its trained weights, checked against its hashes.

    Raises:
        BadBundle: it is none, or a file of it was changed.
        Unwritable: it holds no fp32 file, or makes something else than one picture of one.
    """
    manifest = read_manifest(bundle)
    if FILE not in manifest.hashes:
        raise Unwritable(f"{bundle} has no {FILE}, whose weights a format needs: name another")
    try:
        graph = lower(Architecture.from_json(manifest.json(ARCHITECTURE)))
    except (ValueError, LookupError, TypeError) as error:
        if isinstance(error, BadBundle):
            raise
        raise Unwritable(f"{bundle} holds no architecture ({error}): export it again") from error
    planes = str(manifest.picture.get("planes", ""))
    source = source_of(bundle.resolve().name, graph, manifest.read(FILE), planes=planes)
    return replace(source, largest=_largest(manifest))


def _largest(manifest: Manifest) -> float:
    """The largest value between layers that the bundle's gates have seen; 0 where none is told."""
    if PARITY not in manifest.hashes:
        return 0.0
    gates = manifest.json(PARITY).get("gates", {})
    return float(gates.get("fp32", {}).get("largest_inside", 0.0))


def source_of(name: str, graph: Graph, file: bytes, *, planes: str = "") -> Source:
    """A network as formats are given it.

    Args:
        name: of the network; the scale is added to it where it does not tell it.
        file: the Graph as the ONNX writer wrote it in fp32, with its weights.
        planes: what a picture is to it; by its channels where nothing is said.

    Raises:
        Unwritable: it makes something else than one picture of one, or the file is another's.
    """
    scale = _scale(name, graph)
    plain, weights = _without_transposed(graph, _weights(name, graph, file))
    (entering,) = graph.inputs.values()
    channels = channels_of(graph.nodes)[entering]
    told = scale == 1 or f"x{scale}" in name.split("-")
    whole = name if told else f"{name}-x{scale}"
    return Source(whole, plain, weights, planes or planes_of(channels), scale)


def _scale(name: str, graph: Graph) -> int:
    """How much larger the picture is that it makes of one.

    Raises:
        Unwritable: it does not make one picture of one.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        ports = f"takes {', '.join(graph.inputs)} and gives {', '.join(graph.outputs)}"
        raise Unwritable(f"{name} {ports}: formats hold networks that make one picture of one")
    side = 64 * multiple_of(graph)
    try:
        shapes = shapes_of(graph, side, side)
    except InvalidArchitecture as error:
        raise Unwritable(f"{name} fits no picture: {error}") from error
    (entering,) = graph.inputs.values()
    given, made = shapes[entering], shapes[graph.output]
    if len(made) != 3 or made[0] != given[0] or made[1] % given[1] or given[1] != side:
        raise Unwritable(
            f"{name} makes {made} of a picture of {given} (channels, height, width): formats hold "
            "networks that make a picture, as large or a whole number of times as large"
        )
    return made[1] // given[1]


def _weights(name: str, graph: Graph, file: bytes) -> Arrays:
    """The numbers in a file of the ONNX writer, in fp32."""
    stored = {one.name: one for one in onnx.load_model_from_string(file).graph.initializer}
    found: Arrays = {}

    def keep(key: str, *places: str) -> None:
        place = next((one for one in places if one in stored), None)
        if place is None:
            raise Unwritable(f"{name}: {FILE} lacks {key}, so it is not of this architecture")
        values = numpy_helper.to_array(stored[place])
        found[key] = np.asarray(values, np.float32)

    for index, node in enumerate(graph.nodes):
        if isinstance(node, Conv | ConvTranspose):
            keep(f"n{index}.weight", f"n{index}.weight")
            # Those of fixed kernels have a bias whatever the field says.
            if f"n{index}.bias" in stored:
                keep(f"n{index}.bias", f"n{index}.bias")
        if getattr(node, "activation", "") == "prelu":
            outputs = (n for n, i in graph.outputs.items() if i == index)
            keep(f"n{index}.slope", *(f"{out}.slope" for out in (f"t{index}", *outputs)))
            found[f"n{index}.slope"] = found[f"n{index}.slope"].reshape(-1)
    return found


def _without_transposed(graph: Graph, weights: Arrays) -> tuple[Graph, Weights]:
    """The same network in which convolutions and shuffles stand for transposed convolutions."""
    nodes: list[Primitive] = []
    place: list[int] = []
    kept: Arrays = {}

    def add(node: Primitive, numbers: Mapping[str, NDArray[Any]]) -> int:
        kept.update({f"n{len(nodes)}.{kind}": values for kind, values in numbers.items()})
        nodes.append(node)
        return len(nodes) - 1

    for index, node in enumerate(graph.nodes):
        inputs = tuple(place[source] for source in node.inputs)
        own = {
            kind: weights[f"n{index}.{kind}"]
            for kind in ("weight", "bias", "slope") if f"n{index}.{kind}" in weights
        }  # fmt: skip
        if not isinstance(node, ConvTranspose):
            place.append(add(replace(node, inputs=inputs), own))
            continue
        slope = {kind: own.pop(kind) for kind in ("slope",) if kind in own}
        last = add(*_phases(node, inputs, own))
        last = add(DepthToSpace((last,), node.stride), {})
        if node.activation != "none":
            last = add(Activation((last,), node.activation, node.slope), slope)
        place.append(last)
    results = tuple((name, place[index]) for name, index in graph.results)
    return Graph(tuple(nodes), results, graph.pictures), kept


def _phases(node: ConvTranspose, inputs: tuple[int, ...], own: Arrays) -> tuple[Conv, Arrays]:
    """The convolution that gives all phases of a transposed one as channels."""
    if not runs_as_convolution(node):
        weight = own["weight"]
        spread = np.append(weight.ravel(), np.float32(0))[taps(node, len(weight))]
        own = {"weight": spread.astype(np.float32)} | {
            kind: own[kind].repeat(node.stride**2) for kind in ("bias",) if kind in own
        }
    out, _, *kernel = own["weight"].shape
    return Conv(inputs, out, (kernel[0], kernel[1]), bias="bias" in own), own
