from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainers.feature_networks import two_images
from trainers.data.panning import CameraPath, camera_poses, film, known_flow
from trainers.losses.motion import translation
from trainers.losses.temporal import TemporalConsistency, WarpingError


def moving(frames: int = 4) -> Tensor:
    """A picture that moves by two pixels to the right and one up, (1, T, 3, 24, 24)."""
    frame = two_images(24, count=1)[1]
    return torch.stack([frame.roll((-k, 2 * k), dims=(-2, -1)) for k in range(frames)], dim=1)


def flicker(clip: Tensor) -> Tensor:
    """Brightness that alternates."""
    sign = torch.tensor([1.0, -1.0]).repeat(clip.shape[1])[: clip.shape[1]]
    return clip + 0.05 * sign.view(1, -1, 1, 1, 1)


def test_an_error_that_stays_does_not_flicker() -> None:
    clip = moving()
    assert TemporalConsistency()(clip + 0.1, clip).item() == pytest.approx(0.0, abs=1e-7)
    assert TemporalConsistency()(flicker(clip), clip).item() == pytest.approx(0.1, rel=1e-4)


def test_an_error_that_moves_with_the_picture_is_free_along_the_motion_only() -> None:
    clip = moving()
    flow = translation(2, -1, like=clip)
    brighter = 1.2 * clip
    assert TemporalConsistency()(brighter, clip, flow=flow).item() == pytest.approx(0, abs=1e-6)
    assert TemporalConsistency()(brighter, clip).item() > 1e-3


def test_the_warping_error_of_a_picture_that_moves_as_told_is_zero() -> None:
    clip = moving()
    flow = translation(2, -1, like=clip)
    assert WarpingError()(clip, clip, flow=flow).item() == pytest.approx(0.0, abs=1e-6)
    assert WarpingError()(flicker(clip), clip, flow=flow).item() == pytest.approx(0.1, rel=1e-3)
    assert WarpingError()(clip, clip).item() > 1e-3, "without the motion it is not known"


def test_the_warping_error_asks_for_calm_only_where_the_target_is() -> None:
    still = moving(1).expand(1, 4, 3, 24, 24)
    change = torch.rand(still.shape, generator=torch.Generator().manual_seed(0))
    assert WarpingError()(flicker(still), still).item() == pytest.approx(0.1, rel=1e-4)
    assert WarpingError()(flicker(still), change) < 0.005


def test_the_motion_of_clips_made_of_stills_is_read_as_it_is_meant() -> None:
    still = two_images(64, count=2)[1]
    path = CameraPath(pan=(2.0, 4.0), shake=0.5, zoom=2.0)
    poses = camera_poses(path, np.random.default_rng(0), clips=2, frames=3)
    clip, flow = film(still, poses, side=32), known_flow(poses, side=32)
    everywhere = WarpingError(alpha=0.0)
    assert everywhere(clip, clip, flow=flow) < 0.05 * everywhere(clip, clip)


def test_one_frame_is_no_clip() -> None:
    with pytest.raises(ValueError, match="two frames or more"):
        TemporalConsistency()(moving(1), moving(1))


def test_a_clip_that_leaves_the_picture_has_no_error_that_could_be_known() -> None:
    clip = moving()
    away = translation(100, 0, like=clip)
    assert TemporalConsistency()(flicker(clip), clip, flow=away).item() == 0
