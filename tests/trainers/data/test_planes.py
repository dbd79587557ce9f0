"""Luma is BT.601's, the same for tensors as for pictures, and a task of it is a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr

from trainers.base import DataError, Task
from trainers.data.planes import Planes
from trainers.data.sources import Sources
from trainers.metrics import psnr_rgb, psnr_y
from trainers.tasks.denoising import Denoising
from trainers.tasks.super_resolution import SuperResolution, as_input

LUMA = Planes("luma")
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)


def test_luma_is_that_of_scikit_image_in_whole_levels() -> None:
    expected = np.floor(rgb2ycbcr(PIXELS)[..., :1] + 0.5)
    np.testing.assert_array_equal(LUMA.of_pixels(PIXELS), expected)


def test_tensors_and_pictures_have_the_same_luma() -> None:
    images = LUMA.of_images(torch.from_numpy(as_input(PIXELS)))
    difference = images.numpy() - as_input(LUMA.of_pixels(PIXELS))
    assert images.shape == (1, 1, 16, 24)
    assert np.abs(difference).max() < 1e-6


def test_colours_pass_as_they_are() -> None:
    images = torch.from_numpy(as_input(PIXELS))
    assert Planes().of_images(images) is images
    assert Planes().of_pixels(PIXELS) is PIXELS


def test_other_planes_are_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="task.planes is 'yuv': use rgb or luma"):
        Planes("yuv")


@pytest.mark.parametrize("kind", [SuperResolution, Denoising])
def test_a_task_of_luma_has_one_channel_everywhere(
    kind: type[SuperResolution], photos: Path
) -> None:
    task: Task = kind(data=Sources(str(photos)), crop=12, planes="luma")
    assert (task.in_channels, task.out_channels) == (1, 1)
    low, high = task.batch(0, seed=0, size=3)
    assert low.shape == (3, 1, 12, 12)
    assert high.shape == (3, 1, 12 * task.scale, 12 * task.scale)
    assert {c.shape for c in task.calibration(2)} == {(1, 1, 12, 12)}
    for example in task.examples():
        assert example.low.shape[-1] == example.high.shape[-1] == 1
        assert task.judge(task.unaided(example), example) > 15


def test_batches_and_pictures_are_on_the_same_levels(photos: Path) -> None:
    task = SuperResolution(data=Sources(str(photos)), crop=12, planes="luma")
    low, high = (255 * planes for planes in task.batch(0, seed=0, size=3))
    for levels in (low, high):
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
        assert 16 <= levels.min() <= levels.max() <= 236


def test_metrics_of_one_channel_are_those_of_its_luma() -> None:
    other = PIXELS[::-1].copy()
    one, two = LUMA.of_pixels(PIXELS), LUMA.of_pixels(other)
    assert psnr_y(one, two, border=1) == psnr_rgb(one, two, border=1)
    assert psnr_y(one, two, border=1) == pytest.approx(psnr_y(PIXELS, other, border=1), abs=0.02)
