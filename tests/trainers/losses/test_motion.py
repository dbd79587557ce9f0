from __future__ import annotations

import pytest
import torch
from scipy.ndimage import map_coordinates

from tests.trainers.feature_networks import two_images
from trainers.losses.motion import translation, warp


def test_no_motion_leaves_a_frame_as_it_is() -> None:
    frame, _ = two_images(9)
    moved, seen = warp(frame, torch.zeros(2, 2, 9, 9))
    torch.testing.assert_close(moved, frame)
    assert seen.shape == (2, 1, 9, 9) and bool((seen == 1).all())


def test_what_moves_right_and_down_was_left_and_above() -> None:
    frame, _ = two_images(12, count=1)
    now = frame.roll((1, 3), dims=(-2, -1))
    flow = translation(3, 1, like=torch.stack((frame, now), dim=1))[:, 0]
    moved, seen = warp(frame, flow)
    torch.testing.assert_close(moved[..., 1:, 3:], now[..., 1:, 3:])
    assert bool((seen[..., 1:, 3:] == 1).all())
    assert seen.sum() == 11 * 9, "what came into the picture has no source"


def test_between_pixels_it_is_the_bilinear_interpolation_of_scipy() -> None:
    frame, _ = two_images(10, count=1)
    flow = torch.randn(1, 2, 10, 10, generator=torch.Generator().manual_seed(1))
    moved, seen = warp(frame, flow)
    rows, columns = torch.meshgrid(torch.arange(10.0), torch.arange(10.0), indexing="ij")
    at = torch.stack((rows + flow[0, 1], columns + flow[0, 0])).numpy()
    theirs = torch.from_numpy(map_coordinates(frame[0, 0].numpy(), at, order=1))
    inside = seen[0, 0] == 1
    assert 50 < int(inside.sum()) < 100
    torch.testing.assert_close(moved[0, 0][inside], theirs[inside], atol=1e-5, rtol=0)


def test_a_flow_of_another_size_is_refused() -> None:
    frame, _ = two_images(9)
    with pytest.raises(ValueError, match=r"\(2, 2, 9, 9\) is needed, x first"):
        warp(frame, torch.zeros(2, 2, 8, 9))
