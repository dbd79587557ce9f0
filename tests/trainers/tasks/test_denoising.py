"""The denoising task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from runtime.signature import one_to_one
from tests.trainers.conftest import write_photo
from trainers.base import DataError, Task
from trainers.calls import pair, still
from trainers.data.degradations.noise import GaussianNoise
from trainers.data.sources import Sources
from trainers.metrics import psnr_rgb
from trainers.tasks.denoising import Denoising


@pytest.fixture(scope="module")
def bundled() -> Denoising:
    return Denoising(crop=24)


def test_it_is_a_task_of_one_size(bundled: Denoising) -> None:
    checked: Task = bundled
    assert checked.signature == one_to_one(3, 3, 1)
    assert (checked.metric.name, checked.baseline_name) == ("psnr", "noisy input")
    noisy, clean = pair(checked.batch(0, seed=0, size=3))
    assert noisy.shape == clean.shape == (3, 3, 24, 24)


def test_the_noise_has_the_strength_that_was_asked_for_and_is_new_at_every_step() -> None:
    task = Denoising(crop=48, degradation=GaussianNoise((10.0, 10.0)))
    (noisy, clean), (other, _) = (pair(task.batch(step, seed=0, size=8)) for step in (0, 1))
    middle = (clean > 0.2) & (clean < 0.8)
    assert float((noisy - clean)[middle].std() * 255) == pytest.approx(10.0, rel=0.05)
    assert not torch.equal(noisy, other)


def test_the_baseline_is_what_sigma_25_leaves(bundled: Denoising) -> None:
    """10 log10(255^2 / 25^2) = 20.17 dB, and a little more where noise is cut off at black."""
    assert 20.17 < bundled.baseline() < 21.0
    assert bundled.baseline() == pytest.approx(np.mean(bundled.scores(still(lambda x: x))))


def test_pictures_to_judge_by_are_the_same_at_every_time_and_can_be_halved_four_times() -> None:
    one, other = Denoising().examples(), Denoising().examples()
    for example, again in zip(one, other, strict=True):
        assert np.array_equal(example.low, again.low)
        assert example.low.shape == example.high.shape
        assert example.low.shape[0] % 16 == example.low.shape[1] % 16 == 0


def test_a_picture_is_judged_over_all_colours_without_a_border(bundled: Denoising) -> None:
    example = bundled.examples()[0]
    assert bundled.judge(bundled.unaided(example), example) == psnr_rgb(
        example.low, example.high, border=0
    )
    assert bundled.judge(example.high, example) == float("inf")


def test_noisy_and_clean_pictures_of_ones_own_are_taken_as_they_are(tmp_path: Path) -> None:
    for folder in ("clean", "noisy"):
        (tmp_path / folder).mkdir()
        for seed in range(4):
            write_photo(tmp_path / folder / f"{seed}.png", seed=seed)
    clean, noisy = str(tmp_path / "clean"), str(tmp_path / "noisy")
    held_out = tmp_path / "held_out"
    held_out.mkdir()
    write_photo(held_out / "one.png", seed=9)
    sources = Sources(clean, str(held_out), train_low=noisy)
    task = Denoising(data=sources, crop=12, multiple=4)
    low, high = pair(task.batch(0, seed=0, size=2))
    assert torch.equal(low, high)


def test_another_scale_is_refused() -> None:
    with pytest.raises(DataError, match="task.scale is 2: denoising keeps the size"):
        Denoising(scale=2)
