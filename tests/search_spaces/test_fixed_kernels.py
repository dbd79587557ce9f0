"""Fixed upsamplers as one convolution before a depth-to-space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from search_spaces.base import UnknownName
from search_spaces.fixed_kernels import REACH, kernel_size, phases
from trainers.data.imresize import enlarge


def enlarged(image: np.ndarray, name: str, factor: int) -> np.ndarray:
    """(h, w, C) 0..255 -> (h * factor, w * factor, C) by the phases, not rounded."""
    x = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))
    weight = torch.from_numpy(phases(name, factor, image.shape[2]))
    padding = kernel_size(name) // 2
    y = functional.pixel_shuffle(functional.conv2d(x, weight, padding=padding), factor)
    return np.asarray(y[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_is_the_papers_bicubic_inside_the_border(factor: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (14, 17, 3)).astype(np.uint8)
    ours = np.clip(np.floor(enlarged(image, "bicubic", factor) + 0.5), 0, 255)
    border = slice(2 * factor, -2 * factor)
    theirs = enlarge(image, factor)
    difference = np.abs(ours - theirs)[border, border]
    # Float32 may round a value that lies on a half to the other side.
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.001


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_is_torchs_inside_the_border(factor: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (9, 8, 3)).astype(np.uint8)
    x = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))
    theirs = functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    ours = enlarged(image, "bilinear", factor).transpose(2, 0, 1)[None]
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    assert ours[inside] == pytest.approx(theirs.numpy()[inside], abs=1e-3)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_nearest_repeats_every_pixel_everywhere(factor: int) -> None:
    image = np.random.default_rng(2).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    ours = enlarged(image, "nearest", factor)
    assert np.array_equal(ours, image.repeat(factor, axis=0).repeat(factor, axis=1))


@pytest.mark.parametrize("name", REACH)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_weights_of_every_phase_sum_to_one(name: str, factor: int) -> None:
    weight = phases(name, factor, 3)
    assert weight.shape == (3 * factor**2, 3, kernel_size(name), kernel_size(name))
    assert weight.sum(axis=(1, 2, 3)) == pytest.approx(np.ones(3 * factor**2), abs=1e-6)


def test_channels_do_not_mix() -> None:
    weight = phases("bicubic", 2, 3)
    for channel in range(3):
        others = np.delete(weight[4 * channel : 4 * channel + 4], channel, axis=1)
        assert not others.any()


def test_a_grouped_kernel_holds_the_same_filters() -> None:
    full, grouped = phases("bicubic", 2, 3), phases("bicubic", 2, 3, groups=3)
    assert grouped.shape == (12, 1, 5, 5)
    assert np.array_equal(full.sum(axis=1), grouped.sum(axis=1))


def test_an_unknown_upsampler_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="upsampler 'lanczos'; known: bicubic, bilinear"):
        phases("lanczos", 2, 3)
