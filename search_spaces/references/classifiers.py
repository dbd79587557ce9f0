"""Published classifiers of ImageNet's 1000 classes at 224 x 224 pixels."""

from __future__ import annotations

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.references.registry import SAME_SIZE, Printed, Reference, add

CLASSES = 1000
_SIDE = (224, 224)
_V1 = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))
"""Features, how many blocks, stride of the first."""
_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, features, how many blocks, stride of the first."""


def mobilenet_v1(scale: int) -> Architecture:
    """Thirteen depthwise-separable blocks."""
    stages = [BlockSpec.of("separable", c, n, stride=s) for c, n, s in _V1]
    blocks = (BlockSpec.of("conv", 32), *stages)
    return Architecture("mobilenet_v1", one_to_one(3, CLASSES, None), blocks)


def mobilenet_v2(scale: int) -> Architecture:
    """Seventeen inverted residual blocks."""
    stages = [BlockSpec.of("inverted", c, n, expand=t, stride=s) for t, c, n, s in _V2]
    blocks = (BlockSpec.of("conv", 32), *stages, BlockSpec.of("conv", 1280, kernel=1))
    return Architecture("mobilenet_v2", one_to_one(3, CLASSES, None), blocks)


_FOLDED = (
    "Batch normalization is folded: its two learned numbers per channel are one bias here, {less} "
    "numbers less."
)
add(Reference(
    "mobilenet_v1", mobilenet_v1,
    "Howard et al., 'MobileNets: Efficient Convolutional Neural Networks for Mobile Vision "
    "Applications', arXiv 2017",
    (Printed(1, "4.2M", "0.57", _SIDE),),
    note=_FOLDED.format(less="10,944"), job="classification", scales=SAME_SIZE, size=_SIDE,
))
add(Reference(
    "mobilenet_v2", mobilenet_v2,
    "Sandler, Howard, Zhu, Zhmoginov, Chen, 'MobileNetV2: Inverted Residuals and Linear "
    "Bottlenecks', CVPR 2018",
    (Printed(1, "3.5M", "0.30", _SIDE),), "parameters as in timm's table",
    _FOLDED.format(less="17,056"), "classification", SAME_SIZE, _SIDE,
))
