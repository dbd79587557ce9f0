"""Temporal upsampling: what is judged and told, and that its memory is worth something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from smaller import RENDERS

from runtime.moving import COLOUR, HISTORY, JITTER, MOTION, REMEMBERED
from runtime.signature import OUTPUT
from trainers.base import Arrays, Batch, DataError
from trainers.losses.pixel import L1
from trainers.losses.terms import Terms
from trainers.metrics.temporal import FLICKER
from trainers.tasks.temporal_upsampling import TemporalUpsampling


@cache
def task() -> TemporalUpsampling:
    return TemporalUpsampling(data=RENDERS, crop=16, frames=3)


def perfect(frames: Sequence[Arrays]) -> list[Arrays]:
    """What knows the truth of the clip that it is shown."""
    for clip in RENDERS.to_judge(scale=2):
        if np.array_equal(clip.colour[:1].astype(np.float32) / 255, frames[0][COLOUR]):
            made = [{OUTPUT: frame[None].astype(np.float32) / 255} for frame in clip.reference]
            return [*made, *[made[-1]] * (len(frames) - len(made))]
    raise AssertionError("no such clip")


def flat(frames: Sequence[Arrays]) -> list[Arrays]:
    side = frames[0][COLOUR].shape[-1] * 2
    return [{OUTPUT: np.full((1, 3, side, side), 0.5, np.float32)} for _ in frames]


def test_it_takes_what_a_renderer_gives_and_remembers_its_picture() -> None:
    signature = task().signature
    assert [port.name for port in signature.given] == [COLOUR, "depth", MOTION, JITTER]
    assert signature.carried == {REMEMBERED: HISTORY}
    assert signature.outputs[0].shape(24, 24) == (3, 48, 48)


def test_the_truth_has_no_flicker_and_the_best_psnr() -> None:
    assert task().further(perfect)[FLICKER] < 1e-9
    assert min(task().scores(perfect)) > 50
    assert task().baseline() < np.mean(task().scores(perfect))


def test_grey_flickers_as_much_as_the_picture_changes() -> None:
    """What shows nothing at all is no calm picture: it is held against the reference's changes."""
    assert task().further(flat)[FLICKER] > 0.1


def test_what_games_do_is_told_beside_bicubic_and_is_better() -> None:
    rivals = task().rivals()
    one, other = task().scores(rivals["accumulation"]), task().baseline()
    assert np.mean(task().scores(rivals["bicubic"])) == pytest.approx(other)
    assert np.mean(one) > other
    line = " ".join(task().notices)
    assert f"bicubic {other:.2f} dB" in line and f"accumulation {np.mean(one):.2f} dB" in line


def test_it_is_judged_by_other_scenes_than_it_learns_from() -> None:
    judged, trained = ({digest for _, digest in found} for found in
                       (task().judged_by, task().trained_on))
    assert judged and trained and not judged & trained
    other = TemporalUpsampling(data=RENDERS, crop=16, frames=3, seed=1)
    assert other.judged_by == task().judged_by and other.trained_on != task().trained_on


def test_the_loss_of_changes_does_not_reward_blur() -> None:
    batch = task().batch(0, seed=0, size=4)
    picture, _ = batch.truth
    grey = picture.mean((3, 4), keepdim=True).expand_as(picture)
    drifting = picture + 0.1 * torch.arange(3).view(1, 3, 1, 1, 1)
    whole = task()
    still = TemporalUpsampling(data=RENDERS, crop=16, frames=3, loss=Terms({"l1": L1()}))

    def temporal(made: torch.Tensor) -> float:
        return float(whole.loss({OUTPUT: made}, batch) - still.loss({OUTPUT: made}, batch))

    assert temporal(picture) == 0 and temporal(picture + 0.1) == pytest.approx(0, abs=1e-6)
    assert temporal(grey) > 1e-3 and temporal(drifting) > 0.05


def test_a_batch_of_one_place_in_time_and_space() -> None:
    batch: Batch = task().batch(3, seed=0, size=2)
    picture, flow = batch.truth
    assert batch.frames == 3 and picture.shape == (2, 3, 3, 32, 32)
    assert flow.shape == (2, 2, 2, 32, 32)
    jitter = batch.inputs[JITTER]
    assert (jitter == jitter[..., :1, :1]).all() and jitter.abs().max() <= 0.5
    small = torch.nn.functional.avg_pool2d(picture.flatten(0, 1), 2)
    assert (small - batch.inputs[COLOUR].flatten(0, 1)).abs().median() < 0.05


@pytest.mark.parametrize(
    ("data", "how", "words"),
    [
        ({}, {"crop": 32}, "24 pixels wide or high and task.crop is 32"),
        ({}, {"crop": 16, "frames": 9}, "4 frames and task.frames is 9"),
        ({"train": "/nowhere"}, {"crop": 16}, "there is no folder /nowhere"),
    ],
)
def test_what_does_not_fit_is_refused(
    data: dict[str, str], how: dict[str, int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        TemporalUpsampling(data=replace(RENDERS, **data), **{"frames": 3, **how})  # type: ignore[arg-type]


def test_an_output_that_is_not_finite_is_no_score() -> None:
    with pytest.raises(FloatingPointError):
        task().scores(lambda frames: [{OUTPUT: np.full((1, 3, 48, 48), np.nan, np.float32)}
                                      for _ in frames])


def test_what_runs_away_over_frames_that_stand_still_is_no_score() -> None:
    def growing(frames: Sequence[Arrays], by: float) -> list[Arrays]:
        still = task().rivals()["bicubic"](frames)
        return [{OUTPUT: one[OUTPUT] + by * t} for t, one in enumerate(still)]

    with pytest.raises(FloatingPointError, match="runs away: after 100 frames in which nothing"):
        task().scores(lambda frames: growing(frames, 0.005))
    assert len(task().scores(lambda frames: growing(frames, 0.0001))) == 2


def test_clips_lie_where_they_are_asked_to(tmp_path: Path) -> None:
    data = replace(RENDERS, clips=1, val_clips=1, size=16, home=str(tmp_path))
    TemporalUpsampling(data=data, crop=16, frames=3)
    # Those to train on and those to judge by are made alike here.
    assert len(list(tmp_path.glob("*/clip-*"))) == 2
