"""Planes are BT.601's, the same for tensors as for pictures, and a task of them is a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr

from runtime import as_input
from runtime.signature import one_to_one
from search_spaces.draws import draw
from search_spaces.modules import build
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from trainers.base import DataError, Task
from trainers.calls import pair, run_of
from trainers.data.planes import Planes, shown
from trainers.data.sources import Sources
from trainers.metrics import luma, psnr_rgb, psnr_y
from trainers.tasks.denoising import Denoising
from trainers.tasks.super_resolution import SuperResolution

LUMA, VIDEO = Planes("luma"), Planes("ycbcr420")
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)


def test_luma_is_that_of_scikit_image_in_whole_levels() -> None:
    expected = np.floor(rgb2ycbcr(PIXELS)[..., :1] + 0.5)
    np.testing.assert_array_equal(LUMA.of_pixels(PIXELS), expected)


def test_tensors_and_pictures_have_the_same_luma() -> None:
    images = LUMA.of_images(torch.from_numpy(as_input(PIXELS)))
    difference = images.numpy() - as_input(LUMA.of_pixels(PIXELS))
    assert images.shape == (1, 1, 16, 24)
    assert np.abs(difference).max() < 1e-6


def test_a_decoders_planes_are_those_of_scikit_image() -> None:
    ycbcr = rgb2ycbcr(PIXELS)
    planes = VIDEO.of_pixels(PIXELS)
    assert planes.shape == (8, 12, 6)
    for i, j in np.ndindex(2, 2):
        expected = np.floor(ycbcr[i::2, j::2, 0] + 0.5)
        np.testing.assert_array_equal(planes[..., 2 * i + j], expected)
    for channel in (1, 2):
        squares = ycbcr[..., channel].reshape(8, 2, 12, 2)
        assert np.abs(planes[..., 3 + channel] - squares.mean(axis=(1, 3))).max() < 0.51


def test_tensors_and_pictures_have_the_same_planes() -> None:
    images = VIDEO.of_images(torch.from_numpy(as_input(PIXELS)))
    assert images.shape == (1, 6, 8, 12)
    # A mean of four may fall on the other side of a half.
    levels = 255 * np.abs(images.numpy() - as_input(VIDEO.of_pixels(PIXELS)))
    assert levels.max() < 1.001
    assert np.mean(levels > 0.5) < 0.01


def test_people_see_a_decoders_planes_in_colour() -> None:
    smooth = np.stack(np.meshgrid(np.arange(40, 200, 4), np.arange(60, 180, 4)), axis=-1)
    picture = np.concatenate([smooth, 230 - smooth[..., :1]], axis=-1).astype(np.uint8)
    error = shown(VIDEO.of_pixels(picture)).astype(int) - picture
    assert np.abs(error[4:-4, 4:-4]).max() <= 3
    assert shown(picture) is picture


def test_the_luma_of_planes_is_the_pictures(photos: Path) -> None:
    np.testing.assert_array_equal(
        luma(VIDEO.of_pixels(PIXELS)), LUMA.of_pixels(PIXELS)[..., 0]
    )
    y, planes = (
        SuperResolution(data=Sources(str(photos)), crop=crop, multiple=multiple, planes=name)
        for name, crop, multiple in (("luma", 12, 4), ("ycbcr420", 6, 2))
    )
    assert planes.baseline() == pytest.approx(y.baseline(), abs=1e-9)


def test_a_network_of_planes_begins_as_the_baseline(photos: Path) -> None:
    task = SuperResolution(data=Sources(str(photos)), crop=8, planes="ycbcr420")
    space = SuperResolutionSpace(planes="ycbcr420", bases=("bicubic",))
    network = build(lower(draw(space, seed=0).architecture), seed=0)
    for example in task.examples():
        # Planes in another order would be some 20 dB away.
        begun = task.picture(run_of(network, task.signature), example)
        unaided = task.judge(task.unaided(example), example)
        assert task.judge(begun, example) == pytest.approx(unaided, abs=2.0)


def test_colours_pass_as_they_are() -> None:
    images = torch.from_numpy(as_input(PIXELS))
    assert Planes().of_images(images) is images
    assert Planes().of_pixels(PIXELS) is PIXELS


def test_other_planes_are_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="task.planes is 'yuv': use rgb, luma or ycbcr420"):
        Planes("yuv")


@pytest.mark.parametrize(("planes", "channels"), [("luma", 1), ("ycbcr420", 6)])
@pytest.mark.parametrize("kind", [SuperResolution, Denoising])
def test_a_task_of_planes_has_their_channels_everywhere(
    kind: type[SuperResolution], planes: str, channels: int, photos: Path
) -> None:
    task: Task = kind(data=Sources(str(photos)), crop=12, planes=planes)
    assert task.signature == one_to_one(channels, channels, task.scale)
    low, high = pair(task.batch(0, seed=0, size=3))
    assert low.shape == (3, channels, 12, 12)
    assert high.shape == (3, channels, 12 * task.scale, 12 * task.scale)
    assert pair(task.calibration(2))[0].shape == (2, channels, 12, 12)
    for example in task.examples():
        assert example.low.shape[-1] == example.high.shape[-1] == channels
        assert task.judge(task.unaided(example), example) > 15


def test_batches_and_pictures_are_on_the_same_levels(photos: Path) -> None:
    task = SuperResolution(data=Sources(str(photos)), crop=12, planes="luma")
    low, high = (255 * planes for planes in pair(task.batch(0, seed=0, size=3)))
    for levels in (low, high):
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
        assert 16 <= levels.min() <= levels.max() <= 236


def test_metrics_of_one_channel_are_those_of_its_luma() -> None:
    other = PIXELS[::-1].copy()
    one, two = LUMA.of_pixels(PIXELS), LUMA.of_pixels(other)
    assert psnr_y(one, two, border=1) == psnr_rgb(one, two, border=1)
    assert psnr_y(one, two, border=1) == pytest.approx(psnr_y(PIXELS, other, border=1), abs=0.02)
