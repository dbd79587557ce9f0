"""How different two pictures look, measured in the features of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from trainers.base import DataError
from trainers.features.network import FeatureNetwork, published
from trainers.features.weights import check, read

LPIPS_LAYERS: Mapping[str, tuple[str, ...]] = {
    "alexnet": ("relu1", "relu2", "relu3", "relu4", "relu5"),
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
    "squeezenet1_1": ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"),
}
_LINEAR = {
    "alexnet": ("alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    "vgg16": ("vgg.pth", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    "squeezenet1_1": (
        "squeeze.pth", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    ),
}  # fmt: skip
_EPSILON = 1e-10


class FeatureDistance(nn.Module):
    """Weighted squared difference of features of unit length, averaged over places.

    Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual
    metric", 2018, eq. 1. It is LPIPS only with the paper's weights: see `lpips`.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        weights: Mapping[str, Tensor],
        *,
        name: str = "feature_distance",
    ) -> None:
        """Take a network and what each channel of its features counts.

        Args:
            network: the feature network.
            weights: layer -> (channels,), none negative.
            name: what the value is called in tables.

        Raises:
            ValueError: the network has no such layer.
            DataError: a weight is negative or not finite.
        """
        super().__init__()
        network.check(tuple(weights))
        self.network, self.name, self._layers = network, name, tuple(weights)
        for layer, weight in weights.items():
            if not bool((weight >= 0).all()) or not bool(weight.isfinite().all()):
                raise DataError(f"the weights of {layer} must be finite and not negative")
            self.register_buffer(layer, weight.detach().clone().float().view(1, -1, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) twice -> (N,); 0 for equal pictures."""
        with torch.no_grad():
            wanted = self.network(target, self._layers)
        got = self.network(prediction, self._layers)
        if next(self.buffers()).device != prediction.device:
            self.to(prediction.device)
        total = prediction.new_zeros(len(prediction))
        for layer in self._layers:
            squared = (_unit(got[layer]) - _unit(wanted[layer])).square()
            weighted = (squared * self.get_buffer(layer)).sum(dim=1)
            total = total + weighted.mean(dim=(-2, -1))
        return total


def _unit(features: Tensor) -> Tensor:
    """Scale the channels of each place to length 1; where all are 0 they stay 0."""
    # Inside the root, so that the gradient is finite where nothing fires.
    return features / (features.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()


def lpips(
    name: str = "alexnet",
    *,
    linear: str | Path | None = None,
    path: str | Path | None = None,
) -> FeatureDistance:
    """LPIPS v0.1 with its published weights.

    Args:
        name: the backbone: alexnet (what papers report), vgg16 or squeezenet1_1.
        linear: the lpips package's file of v0.1: alex.pth, vgg.pth or squeeze.pth.
        path: of torchvision's file of the backbone; the one in the torch hub's cache when None.

    Raises:
        ValueError: there is no LPIPS for this backbone.
        DataError: a file is missing or is another one; the message says what to put where.
    """
    if name not in LPIPS_LAYERS:
        raise ValueError(f"there is no LPIPS for '{name}'; there is: {', '.join(LPIPS_LAYERS)}")
    file, digest = _LINEAR[name]
    if linear is None or not Path(linear).expanduser().is_file():
        asked = "none is given" if linear is None else f"there is no file {linear}"
        raise DataError(
            f"LPIPS on {name} needs its linear weights, and {asked}: give `linear` the path of "
            f"{file} of the lpips package, version 0.1 (lpips/weights/v0.1/{file})"
        )
    found = Path(linear).expanduser()
    check(found, sha256=digest, what=f"{file} of lpips v0.1")
    return FeatureDistance(published(name, path=path), linear_weights(found, name), name="lpips")


def linear_weights(path: Path, name: str) -> dict[str, Tensor]:
    """What each channel counts, from a file of the lpips package: layer -> (channels,).

    Raises:
        DataError: the file does not have one weight per channel.
    """
    state = read(path)
    layers = LPIPS_LAYERS[name]
    keys = [f"lin{index}.model.1.weight" for index in range(len(layers))]
    if sorted(state) != sorted(keys):
        raise DataError(f"{path} does not have {keys[0]} to {keys[-1]}: it is not of {name}")
    return {layer: state[key].flatten() for layer, key in zip(layers, keys, strict=True)}


def uncalibrated(network: FeatureNetwork, layers: Sequence[str]) -> FeatureDistance:
    """The same distance where every channel counts alike: no LPIPS, and not comparable with it.

    Zhang et al. call it the network without calibration; it needs no linear weights.

    Raises:
        ValueError: the network has no such layer.
    """
    network.check(layers)
    side = 64
    with torch.no_grad():
        shapes = network(torch.zeros(1, 3, side, side), layers)
    weights = {layer: torch.ones(shapes[layer].shape[1]) for layer in layers}
    return FeatureDistance(network, weights, name=f"{network.name} distance, uncalibrated")
