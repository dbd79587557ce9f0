"""The layers of the feature networks, named as torchvision names them.

Only the convolutional part is here: no loss looks further. Every name and shape is torchvision's
(`torchvision.models.vgg`, `alexnet`, `squeezenet`), so that its published files load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1 x 1 and 3 x 3 side by side.

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016.
    """

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        """Map `channels` to twice `expanded`."""
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, 2 * expanded, H, W)."""
        x = self.squeeze(x).relu()
        return torch.cat((self.expand1x1(x), self.expand3x3(x)), dim=1).relu()


def _vgg(convolutions: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _vgg_taps(convolutions: tuple[int, ...]) -> dict[str, int]:
    taps, layer = {}, 0
    for block, count in enumerate(convolutions, start=1):
        for position in range(1, count + 1):
            taps[f"relu{block}_{position}"] = layer + 1
            layer += 2
        layer += 1
    return taps


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    )  # fmt: skip


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _squeezenet1_0() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 96, 7, stride=2), nn.ReLU(), _pool(),
        Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), _pool(),
        Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), _pool(),
        Fire(512, 64, 256),
    )  # fmt: skip


def _squeezenet1_1() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), _pool(),
        Fire(64, 16, 64), Fire(128, 16, 64), _pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), _pool(),
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
    )  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """One network: its layers, where features may be taken, and its published file.

    Attributes:
        build: makes `features`, its weights left to be loaded.
        taps: name of a feature -> index of the layer that puts it out.
        file: torchvision's, which carries the first 8 hex digits of its sha256.
        smallest: height and width of the smallest image it takes, pixels.
    """

    build: Callable[[], nn.Sequential]
    taps: Mapping[str, int]
    file: str
    smallest: int


_VGG16 = (2, 2, 3, 3, 3)
_VGG19 = (2, 2, 4, 4, 4)
LAYOUTS: Mapping[str, Layout] = {
    "vgg16": Layout(lambda: _vgg(_VGG16), _vgg_taps(_VGG16), "vgg16-397923af.pth", 32),
    "vgg19": Layout(lambda: _vgg(_VGG19), _vgg_taps(_VGG19), "vgg19-dcbb9e9d.pth", 32),
    "alexnet": Layout(
        _alexnet,
        {"relu1": 1, "relu2": 4, "relu3": 7, "relu4": 9, "relu5": 11},
        "alexnet-owt-7be5be79.pth",
        63,
    ),
    "squeezenet1_0": Layout(
        _squeezenet1_0,
        {"relu1": 1, "fire2": 3, "fire3": 4, "fire4": 5, "fire5": 7, "fire6": 8, "fire7": 9,
         "fire8": 10, "fire9": 12},
        "squeezenet1_0-b66bff10.pth",
        21,
    ),
    "squeezenet1_1": Layout(
        _squeezenet1_1,
        {"relu1": 1, "fire2": 3, "fire3": 4, "fire4": 6, "fire5": 7, "fire6": 9, "fire7": 10,
         "fire8": 11, "fire9": 12},
        "squeezenet1_1-b8a52dc0.pth",
        17,
    ),
}  # fmt: skip


def layout(name: str) -> Layout:
    """The layout of a network.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in LAYOUTS:
        raise ValueError(f"there is no feature network '{name}'; there are: {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
