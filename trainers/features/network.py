"""A frozen network that turns pictures into features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from trainers.base import DataError
from trainers.features.networks import layout
from trainers.features.weights import features_of, published_file, read

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, RGB in [0, 1]: what every network of torchvision was trained with."""


class FeatureNetwork(nn.Module):
    """RGB pictures in [0, 1] -> features by name. Frozen; it follows its input to the device.

    The normalisation its weights were trained with is inside.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        state: Mapping[str, Tensor],
        *,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        """Put weights into a network.

        Args:
            name: one of `networks.LAYOUTS`.
            state: `features.0.weight` and so on.
            mean: of R, G and B.
            std: of R, G and B.

        Raises:
            ValueError: there is no such network.
            DataError: the weights are not its weights.
        """
        super().__init__()
        self.name, self._layout = name, layout(name)
        # On the meta device nothing is drawn at random, so no seed of a training is touched.
        with torch.device("meta"):
            self.features: nn.Sequential = self._layout.build()
        floats = {key: value.detach().clone().float() for key, value in state.items()}
        try:
            self.load_state_dict(floats, assign=True)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip()
            raise DataError(f"these are not weights of {name}: {first}") from error
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def check(self, layers: Sequence[str]) -> None:
        """Refuse names that no feature of this network has.

        Raises:
            ValueError: there is one, or none is asked for.
        """
        taps = self._layout.taps
        unknown = [layer for layer in layers if layer not in taps]
        if unknown or not layers:
            asked = f"no layer {', '.join(unknown)}" if unknown else "to be asked for a layer"
            raise ValueError(f"{self.name} has {asked}; there are: {', '.join(taps)}")

    def forward(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Run as far as the last of the layers that are asked for.

        Args:
            images: (N, 3, H, W) in [0, 1].
            layers: names of features.

        Returns:
            name -> (N, channels, h, w).

        Raises:
            ValueError: the images are not RGB or too small.
        """
        smallest = self._layout.smallest
        if images.shape[1] != 3 or min(images.shape[-2:]) < smallest:
            raise ValueError(
                f"{self.name} takes RGB images of {smallest}x{smallest} or more, "
                f"these are {tuple(images.shape)}"
            )
        if self.mean.device != images.device:
            self.to(images.device)
        names = {self._layout.taps[layer]: layer for layer in layers}
        x = (images - self.mean) / self.std
        found = {}
        for index in range(max(names) + 1):
            x = self.features[index](x)
            if index in names:
                found[names[index]] = x
        return found


def published(name: str, *, path: str | Path | None = None) -> FeatureNetwork:
    """A network with torchvision's published ImageNet weights.

    Args:
        name: vgg16, vgg19, alexnet, squeezenet1_0 or squeezenet1_1.
        path: of torchvision's file; the one in the torch hub's cache when None.

    Raises:
        ValueError: there is no such network.
        DataError: the file is missing or is another one; the message says what to put where.
    """
    layout(name)
    return FeatureNetwork(name, features_of(read(published_file(name, path)), name))


def own(
    name: str, *, path: str | Path, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> FeatureNetwork:
    """A network with weights of yours, whose origin nobody checks.

    Args:
        name: one of `networks.LAYOUTS`.
        path: a `.pth` or `.npz` with torchvision's names, or those of the original SqueezeNet.
        mean: what your weights expect to be subtracted from R, G and B in [0, 1].
        std: what they expect them to be divided by afterwards.

    Raises:
        ValueError: there is no such network.
        DataError: the file is missing or does not fit.
    """
    layout(name)
    state = features_of(read(Path(path).expanduser()), name)
    return FeatureNetwork(name, state, mean=mean, std=std)
