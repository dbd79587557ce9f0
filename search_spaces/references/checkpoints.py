"""Published weights, read into the Graph of the network they belong to.

The files are arrays by the name that the source's own module gives them (`numpy.savez`). Layers
are taken in the order of execution; training-time branches have been folded beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.base import InvalidArchitecture
from search_spaces.graph import Graph, channels_of
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.references.registry import reference
from search_spaces.skeletons import lower
from search_spaces.weights import fixed_weights, weight_shape

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Checkpoint:
    """Where a network's published weights are, and what they reach.

    Attributes:
        file: name of the file.
        network: the published network they belong to.
        set5_db: PSNR of the luma on Set5 as an independent program measured it.
        order: the source's layers in the order of our Graph, where its file has another one;
            `a+b` are parallel convolutions that are one here.
        peak: the value of white inside the source's network.
        spare_outputs: of the last layer, which nothing reads.
    """

    file: str
    network: str
    scale: int
    set5_db: float | None
    order: Sequence[str] = ()
    peak: float = 1.0
    spare_outputs: int = 0

    @property
    def graph(self) -> Graph:
        """The network's Graph at its scale."""
        return lower(reference(self.network, self.scale))


def read_checkpoint(folder: Path, checkpoint: Checkpoint) -> dict[str, NDArray[np.float32]]:
    """The weights by the names of our Graph, as `write` and `load_weights` take them.

    Raises:
        OSError: there is no such file.
        InvalidArchitecture: the file holds another network.
    """
    with np.load(folder / checkpoint.file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    layers = _in_order(_layers(arrays), checkpoint.order)
    if checkpoint.spare_outputs:
        last = layers[-1]
        layers[-1] = {kind: array[: -checkpoint.spare_outputs] for kind, array in last.items()}
    if checkpoint.peak != 1.0:
        layers = _at_unit_peak(layers, checkpoint.peak)
    return _named(checkpoint.graph, layers, checkpoint.file)


Layer = dict[str, NDArray[np.float32]]
"""`weight`, and `bias` and `slope` where there are such."""


def _layers(arrays: Arrays) -> dict[str, Layer]:
    """Group arrays by layer; a `weight` with one axis is the slope of the layer before it."""
    layers: dict[str, Layer] = {}
    for name, array in arrays.items():
        prefix, _, kind = name.rpartition(".")
        if kind == "weight" and array.ndim == 1:
            layers[next(reversed(layers))]["slope"] = array
        else:
            layers.setdefault(prefix, {})[kind] = array
    return layers


def _in_order(layers: Mapping[str, Layer], order: Sequence[str]) -> list[Layer]:
    if not order:
        return list(layers.values())
    found = []
    for entry in order:
        parts = [layers[name] for name in entry.split("+")]
        found.append({kind: np.concatenate([p[kind] for p in parts]) for kind in parts[0]})
    return found


def _at_unit_peak(layers: list[Layer], peak: float) -> list[Layer]:
    """The same function of an image whose white is 1."""
    first, *middle, last = layers
    unit = np.float32(peak)
    return [
        {**first, "weight": first["weight"] * unit},
        *middle,
        {kind: array / unit for kind, array in last.items()},
    ]


def _named(graph: Graph, layers: Sequence[Layer], file: str) -> dict[str, NDArray[np.float32]]:
    channels = channels_of(graph.nodes)
    named: dict[str, NDArray[np.float32]] = {}
    learned: list[tuple[int, Conv | ConvTranspose]] = []
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Conv) and node.fixed:
            named |= fixed_weights(index, node, channels[node.inputs[0]])
        elif isinstance(node, Conv | ConvTranspose):
            learned.append((index, node))
    if len(learned) != len(layers):
        raise InvalidArchitecture(
            f"{file} has {len(layers)} layers, the network {len(learned)}: it is another one"
        )
    for (index, node), layer in zip(learned, layers, strict=True):
        kernel = weight_shape(node, channels[node.inputs[0]])
        wanted: dict[str, tuple[int, ...]] = {"weight": kernel}
        wanted |= {"bias": (node.out_channels,)} if node.bias else {}
        wanted |= {"slope": (node.out_channels,)} if node.activation == "prelu" else {}
        shapes = {kind: array.shape for kind, array in layer.items()}
        if shapes != wanted:
            raise InvalidArchitecture(f"{file}: a layer has {shapes}, node {index} {wanted}")
        named |= {f"n{index}.{kind}": array for kind, array in layer.items()}
    return named


_XLSR_ORDER = (
    "conv0_0.conv+conv0_1.conv+conv0_2.conv+conv0_3.conv", "conv2",
    "Gblocks.0.conv0", "Gblocks.0.conv1", "Gblocks.1.conv0", "Gblocks.1.conv1",
    "Gblocks.2.conv0", "Gblocks.2.conv1", "conv1", "conv3.conv", "conv4",
)
_ETDS_FILES: dict[str, tuple[str, tuple[float | None, ...]]] = {
    "ESPCN": ("espcn_sigmoid", (36.86, None, None)),
    "FSRCNN": ("fsrcnn", (37.00, None, None)),
    "ECBSR_M4C16": ("ecbsr_m4c16", (37.18, 33.07, 30.89)),
    "ECBSR_M4C32": ("ecbsr_m4c32", (37.41, 33.57, 31.26)),
    "ECBSR_M6C40": ("ecbsr_m6c40", (37.64, 33.68, 31.42)),
    "ABPN_M4C28": ("abpn_m4c28", (37.38, 33.54, 31.34)),
    "ABPN_M6C40": ("abpn_m6c40", (37.61, 33.71, 31.63)),
    "ETDS_M5C16": ("etds_t", (37.19, 33.15, 30.89)),
    "ETDS_M4C32": ("etds_s", (37.40, 33.49, 31.21)),
    "ETDS_M6C32": ("etds_m", (37.57, 33.65, 31.42)),
    "ETDS_M7C48": ("etds_l", (37.67, 33.88, 31.70)),
}
_PLAINUSR_DB = {
    "u": (37.11, 30.77), "t": (37.47, 31.20), "s": (37.64, 31.56), "m": (37.80, 31.79),
}


def _checkpoints() -> list[Checkpoint]:
    found = []
    for stem, (name, levels) in _ETDS_FILES.items():
        for scale, level in zip((2, 3, 4), levels, strict=True):
            spare = int(name.startswith("etds") and scale == 3)
            file = f"etds_{stem}_x{scale}.npz"
            found.append(Checkpoint(file, name, scale, level, spare_outputs=spare))
    found.append(Checkpoint("XLSR_x3_cxzhou95.npz", "xlsr", 3, 33.27, _XLSR_ORDER))
    for letter, pair in _PLAINUSR_DB.items():
        for scale, level in zip((2, 4), pair, strict=True):
            file = f"PlainUSR{letter.upper()}_x{scale}.npz"
            found.append(Checkpoint(file, f"plainusr_{letter}", scale, level))
    for scale, level in ((2, 38.06), (4, 32.25)):
        found.append(Checkpoint(f"RLFN_S_x{scale}.npz", "rlfn_s", scale, level, peak=255.0))
    return found


CHECKPOINTS = tuple(_checkpoints())
