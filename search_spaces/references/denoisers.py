"""Published denoisers: output and input have one size."""

from __future__ import annotations

from functools import partial

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.references.registry import SAME_SIZE, Printed, Reference, add, architecture

RGB, LUMA = 3, 1
_1080P, _PADDED_1080P = (1080, 1920), (1088, 1920)
_SIZE, _PADDED_SIZE = (360, 640), (368, 640)
_COUNTED = "counted from the layers: the paper prints no multiply-adds"
OIDN_FEATURES = (32, 32, 48, 64, 80, 96, 96, 112, 112, 96, 96, 64, 64, 64, 32)
OIDN_SMALL_FEATURES = (32, 32, 32, 32, 32, 32, 32, 64, 64, 64, 64, 64, 32, 32, 32)


def dncnn(scale: int, *, channels: int, layers: int) -> Architecture:
    """3x3 layers of 64 features; batch normalization is folded."""
    blocks = [BlockSpec.of("conv", 64), BlockSpec.of("conv", 64, layers - 2)]
    return architecture("residual_stack", channels, scale, blocks)


def ffdnet(scale: int, *, channels: int, features: int, layers: int) -> Architecture:
    """3x3 layers at half the size, with a plane of noise strength."""
    blocks = (BlockSpec.of("conv", features), BlockSpec.of("conv", features, layers - 2))
    return Architecture("ffdnet", one_to_one(channels + 1, channels, scale), blocks)


def oidn_unet(scale: int, *, features: tuple[int, ...]) -> Architecture:
    """Colour, albedo and normals to colour."""
    blocks = tuple(BlockSpec.of("conv", count) for count in features)
    return Architecture("oidn_unet", one_to_one(9, RGB, scale), blocks)


def _register() -> None:
    zhang = (
        "Zhang, Zuo, Chen, Meng, Zhang, 'Beyond a Gaussian Denoiser: Residual Learning of Deep "
        "CNN for Image Denoising', TIP 2017"
    )
    same = partial(Reference, job="denoising", scales=SAME_SIZE, size=_SIZE)
    folded = "Batch normalization is folded, and the sign of the noise into the last layer."
    add(same(
        "dncnn", partial(dncnn, channels=LUMA, layers=17), zhang,
        (Printed(1, "0.55M", "1149", _1080P),),
        _COUNTED, f"DnCNN-S on grey images, 17 layers. {folded}",
    ))
    add(same(
        "dncnn_rgb", partial(dncnn, channels=RGB, layers=20), zhang,
        note=f"CDnCNN-B, colour and blind, 20 layers. {folded} The paper prints no size.",
    ))
    plane = "The plane of noise strength is the last input channel, at full size."
    zhang = (
        "Zhang, Zuo, Zhang, 'FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image "
        "Denoising', TIP 2018"
    )
    add(same(
        "ffdnet", partial(ffdnet, channels=LUMA, features=64, layers=15), zhang,
        (Printed(1, "", "251", _1080P),), _COUNTED,
        f"Grey images, 15 layers of 64; batch normalization is folded. {plane}",
    ))
    add(same(
        "ffdnet_rgb", partial(ffdnet, channels=RGB, features=96, layers=12), zhang,
        (Printed(1, "", "442", _1080P, gmacs_left_out=-0.8958),), _COUNTED,
        f"Colour, 12 layers of 96; batch normalization is folded. {plane} The multiply-adds are "
        "those of a form with three such planes, one here.",
    ))
    afra = "Afra, 'Intel Open Image Denoise', 2019 to 2025, openimagedenoise.org"
    padded = partial(same, size=_PADDED_SIZE)
    inputs = (
        "Nine input channels: colour, albedo, normals. Sides are padded to multiples of 16: "
        "1080p has 1088 rows."
    )
    add(padded(
        "oidn_unet", partial(oidn_unet, features=OIDN_FEATURES), afra,
        (Printed(1, "0.92M", "262", _PADDED_1080P),), _COUNTED, inputs,
    ))
    add(padded(
        "oidn_unet_small", partial(oidn_unet, features=OIDN_SMALL_FEATURES), afra,
        (Printed(1, "0.32M", "130", _PADDED_1080P),), _COUNTED, inputs,
    ))


_register()
