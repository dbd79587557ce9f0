from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.trainers.feature_networks import random_network
from trainers.base import Example
from trainers.features.distance import uncalibrated
from trainers.metrics.fidelity import psnr_y
from trainers.metrics.measures import judge_pictures, picture_measures
from trainers.metrics.perceptual import perceptual_measure


def examples() -> list[Example]:
    random = np.random.default_rng(0)
    return [
        Example(f"{k}", low, low.repeat(2, axis=0).repeat(2, axis=1))
        for k, low in enumerate(random.integers(0, 256, (2, 92, 90, 3)).astype(np.uint8))
    ]


def module(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Nearest-neighbour enlargement, a shade darker."""
    with torch.no_grad():
        enlarged = torch.nn.Upsample(scale_factor=2)(torch.from_numpy(inputs))
        output: NDArray[np.float32] = (enlarged * 0.9).numpy()
    return output


def engine(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same, as plain arrays."""
    return inputs.repeat(2, axis=2).repeat(2, axis=3) * np.float32(0.9)


def test_module_and_engine_are_judged_alike_by_every_measure() -> None:
    measures = [
        *picture_measures(border=2),
        perceptual_measure(uncalibrated(random_network(), ("relu1", "fire3"))),
    ]
    found = judge_pictures(module, examples(), measures)
    assert found == judge_pictures(engine, examples(), measures)
    assert list(found) == [measure.metric.name for measure in measures]
    expected = [psnr_y(np.floor(e.high * 0.9 + 0.5).astype(np.uint8), e.high, border=2)
                for e in examples()]  # fmt: skip
    assert found["psnr_y"] == pytest.approx(np.mean(expected), abs=0.05)


def test_every_measure_says_that_the_picture_itself_is_best() -> None:
    one = examples()[0].high
    worse = np.clip(one.astype(int) + 30, 0, 255).astype(np.uint8)
    distance = uncalibrated(random_network(), ("relu1",))
    for measure in (*picture_measures(border=0), perceptual_measure(distance)):
        assert measure.metric.better(measure.compare(one, one), measure.compare(worse, one))


def test_no_picture_is_no_mean() -> None:
    with pytest.raises(ValueError, match="no picture"):
        judge_pictures(engine, [], picture_measures(border=0))
