"""The first reading of a Graph: a torch module for training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.base import UnknownName
from search_spaces.branches import branch, branches_for, is_branched
from search_spaces.graph import Graph, channels_of
from search_spaces.initial import (
    HEAD_GAIN,
    IDENTITY_NOISE,
    added_layers,
    base_within,
    last_layers,
    uncentred_layers,
)
from search_spaces.layers import SlopeLayer, WeightedLayer
from search_spaces.picture_path import picture_path
from search_spaces.plain_ops import run_plain
from search_spaces.primitives import (
    Activation,
    Conv,
    ConvTranspose,
    Primitive,
)
from search_spaces.skeletons.registry import CENTRE

NORMS = ("none", "batch")


Inputs = Tensor | Mapping[str, Tensor]
"""The tensors by port; a single Tensor where a network has one input."""
Arrays = NDArray[np.float32] | Mapping[str, NDArray[np.float32]]
"""The same as arrays."""


def as_tensors(arrays: Arrays) -> Inputs:
    """Arrays as a network takes them."""
    if isinstance(arrays, Mapping):
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    return torch.from_numpy(arrays)


class Network(nn.Module):
    """A Graph that can be trained.

    Attributes:
        layers: the nodes with weights by `n<index>`.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        channels = channels_of(graph.nodes)
        self.layers = nn.ModuleDict()
        for index, node in enumerate(graph.nodes):
            if isinstance(node, Conv | ConvTranspose):
                layer = WeightedLayer(index, node, channels[node.inputs[0]])
                self.layers[f"n{index}"] = layer
            elif isinstance(node, Activation) and node.activation == "prelu":
                self.layers[f"n{index}"] = SlopeLayer(node, channels[index])

    def weighted(self, index: int) -> WeightedLayer:
        """The convolution at this node."""
        layer = self.layers[f"n{index}"]
        assert isinstance(layer, WeightedLayer)
        return layer

    def forward(self, inputs: Inputs) -> Tensor | dict[str, Tensor]:
        """Run the network.

        Args:
            inputs: by port, (N, C, H, W), vectors (N, C); images in [0, 1].

        Returns:
            The outputs by port; the tensor itself where there is one.
        """
        return self.named(self.values(inputs))

    def named(self, values: Sequence[Tensor]) -> Tensor | dict[str, Tensor]:
        """What `forward` gives, of what every node has given."""
        outputs = {name: values[index] for name, index in self.graph.outputs.items()}
        return outputs if self.graph.results else next(iter(outputs.values()))

    def entering(self, inputs: Inputs) -> dict[int, Tensor]:
        """The tensors of the Graph's inputs by node; a vector is (N, C, 1, 1) inside."""
        nodes = self.graph.inputs
        if isinstance(inputs, Tensor):
            inputs = dict.fromkeys(nodes, inputs)
        found = {index: inputs[name] for name, index in nodes.items()}
        return {i: x if x.ndim > 2 else x[:, :, None, None] for i, x in found.items()}

    def values(self, inputs: Inputs) -> list[Tensor]:
        """What every node gives, in the order of the Graph."""
        given = self.entering(inputs)
        values: list[Tensor] = []
        for index, node in enumerate(self.graph.nodes):
            sources = [values[i] for i in node.inputs]
            values.append(given[index] if index in given else self.step(index, node, sources))
        return values

    def step(self, index: int, node: Primitive, sources: list[Tensor]) -> Tensor:
        """Run one primitive."""
        name = f"n{index}"
        if name in self.layers:
            result: Tensor = self.layers[name](sources[0])
            return result
        return run_plain(node, sources)


def build(
    graph: Graph, *, seed: int, branches: str = "none", norm: str = "none", int8: bool = True
) -> Network:
    """Return the network with freshly drawn weights.

    A layer with as many outputs as inputs begins as the identity plus a little noise, like a
    residual connection that costs nothing at inference; a layer that is added to something begins
    small, the one over the fixed base smallest: the network begins as its base. A plain stack
    without one begins as an upsampler all the same (`picture_path.py`).

    Args:
        branches: a name in `branches.FORMS`: what is trained beside each convolution. With
            branches a network begins as the plain one of the same seed does. A stack that
            carries the picture through tanh has none: it stands on sums that cancel, and
            branches move them further at each step (ESPCN after 850: 30.1 instead of 31.1 dB).
        norm: `batch` for batch normalization after each convolution that has a bias and is not
            the last; only a training needs it, `fold` takes it into the weights.
        int8: whether it will be quantized; a stack then begins so that it loses less by that.

    Raises:
        UnknownName: no such form of branches, or normalization.
    """
    if norm not in NORMS:
        raise UnknownName("normalization", norm, NORMS)
    network = Network(graph)
    generator = torch.Generator().manual_seed(seed)
    shoots = torch.Generator().manual_seed(seed + 1)
    channels, added = channels_of(graph.nodes), added_layers(graph)
    heads = last_layers(graph)
    learned = {
        int(name[1:]): layer
        for name, layer in network.layers.items()
        if isinstance(layer, WeightedLayer) and layer.learned
    }
    straight, deviations, uncentred = set(), {}, uncentred_layers(graph)
    for index, layer in learned.items():
        node = layer.node
        if isinstance(node, Conv) and node.stride == 1:
            if channels[index] == channels[node.inputs[0]]:
                straight.add(index)
        square = index in straight and index not in added
        gain = added.get(index, IDENTITY_NOISE if square else 1.0)
        base = base_within(graph, index)
        gain = gain if base is None else HEAD_GAIN
        deviations[index] = layer.reset(generator, gain=gain, identity=square)
        if base is not None:
            with torch.no_grad():
                layer.weight[:, -base.shape[1] :] = torch.from_numpy(base)
        if index in uncentred and layer.bias is not None:
            with torch.no_grad():
                layer.bias.sub_(CENTRE * layer.weight.sum(dim=(1, 2, 3)))
    if (path := picture_path(graph)) is not None:
        path.start(learned, int8=int8)
        branches = "none" if path.curved else branches
    for index, layer in learned.items():
        if isinstance(layer.node, Conv):
            found = branches_for(
                branches, layer.node, layer.weight.shape, deviations[index], shoots,
                square=index in straight,
            )  # fmt: skip
            branch(layer, found)
        if norm == "batch" and layer.bias is not None and index not in heads:
            layer.normalize()
    return network


def weights_of(network: Network) -> dict[str, NDArray[np.float32]]:
    """The weights as the ONNX writer takes them, with branches and normalization folded in."""
    return {
        f"{name}.{kind}": tensor.cpu().numpy().astype(np.float32)
        for name, layer in network.layers.items()
        if isinstance(layer, WeightedLayer | SlopeLayer)
        for kind, tensor in layer.folded().items()
    }


def fold(network: Network) -> Network:
    """The same network, in eval mode, without branches and normalization: what ships."""
    plain = Network(network.graph)
    load_weights(plain, weights_of(network))
    return plain.eval()


def load_weights(network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Put weights, named as `weights_of` names them, into a network of the same Graph.

    A branched layer takes them as its sum. Those of fixed layers may be left out.

    Raises:
        ValueError: a tensor is missing, has another shape, or is none of this network; or the
            network is normalized, and these weights leave nothing to normalize.
    """
    require_weights(network, weights)
    load_some_weights(network, weights)


def require_weights(
    network: Network, names: Collection[str], *, without: Collection[str] = ()
) -> None:
    """Refuse names that are not those of every learned tensor of a network.

    Args:
        without: layers that need none, as `n4`.

    Raises:
        ValueError: says which tensor is missing, and its shape.
    """
    for layer_name, layer in network.layers.items():
        if layer_name in without or not getattr(layer, "learned", True):
            continue
        for kind, tensor in _tensors(layer).items():
            key = f"{layer_name}.{kind}"
            if key not in names:
                raise ValueError(
                    f"the weights lack '{key}' of shape {tuple(tensor.shape)}: they are not of "
                    "this network, or not whole"
                )


def load_some_weights(network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """As `load_weights`; what they lack stays as it is in the network.

    Raises:
        ValueError: a tensor has another shape, or is none of this network; or the network is
            normalized.
    """
    with torch.no_grad():
        for key, value in weights.items():
            kind = key.partition(".")[2]
            layer, tensor = _layer(network, key), torch.from_numpy(np.array(value))
            if getattr(layer, "norm", None) is not None:
                raise ValueError("a normalized network takes no folded weights: build it without")
            own = _tensors(layer)[kind]
            if tensor.shape != own.shape:
                raise ValueError(
                    f"the weights hold '{key}' of shape {tuple(tensor.shape)}, and the network "
                    f"takes {tuple(own.shape)}"
                )
            if kind == "weight" and is_branched(layer):
                layer.weight = tensor
            else:
                own.copy_(tensor)


def _layer(network: Network, key: str) -> nn.Module:
    name, _, kind = key.partition(".")
    if name not in network.layers or kind not in _tensors(network.layers[name]):
        raise ValueError(f"the weights hold '{key}', and the network has no such tensor")
    return network.layers[name]


def _tensors(layer: nn.Module) -> dict[str, Tensor]:
    """A layer's weight, bias and slope, those that it has."""
    found = {kind: getattr(layer, kind, None) for kind in ("weight", "bias", "slope")}
    return {kind: tensor for kind, tensor in found.items() if isinstance(tensor, Tensor)}
