from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.trainers.feature_networks import DATA
from trainers.losses.temporal import TemporalConsistency
from trainers.metrics.pixels import luma
from trainers.metrics.temporal import FLICKER, estimate_motion, flicker

CLIP = DATA / "video" / "vid4_walk"
Frames = list[NDArray[np.uint8]]


def moving(frames: int = 3, *, x: int = 2, y: int = 1) -> Frames:
    """A picture that moves by (x, y) pixels per frame."""
    coarse = np.random.default_rng(0).integers(0, 200, (13, 13, 3)).astype(np.uint8)
    pixels = np.array(Image.fromarray(coarse).resize((64, 64)))
    return [np.roll(pixels, (k * y, k * x), axis=(0, 1)) for k in range(frames)]


def known(frames: Frames, *, x: float = 2, y: float = 1) -> NDArray[np.float32]:
    height, width, _ = frames[0].shape
    flow = np.empty((len(frames) - 1, 2, height, width), np.float32)
    flow[:, 0], flow[:, 1] = -x, -y
    return flow


def alternate(frames: Frames, levels: int) -> Frames:
    return [frame + np.uint8(levels * (k % 2)) for k, frame in enumerate(frames)]


def test_alternating_brightness_flickers_by_as_many_levels_of_luma() -> None:
    frames = moving()
    expected = 10 * 219 / 255
    for flow in (None, known(frames)):
        value = flicker(alternate(frames, 10), frames, flow=flow)
        assert value == pytest.approx(expected, rel=1e-3)


def test_an_error_that_stays_or_moves_along_does_not_flicker() -> None:
    frames = moving()
    brighter = [frame + np.uint8(20) for frame in frames]
    assert flicker(brighter, frames, flow=None) == pytest.approx(0.0, abs=1e-9)
    dirty = [frame.copy() for frame in frames]
    for k, frame in enumerate(dirty):
        frame[20 + k, 20 + 2 * k] = 255
    assert flicker(dirty, frames, flow=known(frames)) == pytest.approx(0.0, abs=1e-6)
    assert flicker(dirty, frames, flow=None) > 0.01
    assert FLICKER.better(0.0, 1.0)


def test_it_is_the_loss_over_luma_in_levels() -> None:
    frames = moving()
    wrong = alternate(moving(x=1), 7)
    one, other = (
        torch.from_numpy(np.stack([luma(f) for f in each]))[None, :, None].float() / 255
        for each in (wrong, frames)
    )
    flow = torch.from_numpy(known(frames))[None]
    loss = TemporalConsistency()(one, other, flow=flow)
    assert flicker(wrong, frames, flow=known(frames)) == pytest.approx(255 * loss.item(), rel=1e-4)


def test_the_border_does_not_count() -> None:
    frames = moving()
    wrong = [frame.copy() for frame in frames]
    wrong[1][:3] = 255
    assert flicker(wrong, frames, flow=None, border=3) == pytest.approx(0.0, abs=1e-9)
    assert flicker(wrong, frames, flow=None) > 1


def test_motion_is_estimated_where_it_is_not_known() -> None:
    frames = moving(2, x=2, y=-1)
    flow = estimate_motion(frames)
    inner = flow[0, :, 12:-12, 12:-12]
    assert inner[0].mean() == pytest.approx(-2, abs=0.25)
    assert inner[1].mean() == pytest.approx(1, abs=0.25)


@pytest.mark.skipif(not CLIP.is_dir(), reason="no video frames beside the project")
def test_estimated_motion_explains_most_of_what_changes_in_a_real_clip() -> None:
    frames = [np.array(Image.open(path).convert("RGB")) for path in sorted(CLIP.glob("*.png"))[:2]]
    frames = [frame[100:260, 200:440] for frame in frames]
    black = [np.zeros_like(frame) for frame in frames]
    in_place = flicker(black, frames, flow=None)
    along = flicker(black, frames, flow=estimate_motion(frames))
    assert along < 0.6 * in_place


def test_sequences_that_do_not_fit_are_refused() -> None:
    frames = moving()
    with pytest.raises(ValueError, match="3 frames against 2"):
        flicker(frames, frames[:2], flow=None)
    with pytest.raises(ValueError, match="two or more"):
        flicker(frames[:1], frames[:1], flow=None)
    with pytest.raises(ValueError, match="no pixel stays"):
        flicker(frames, frames, flow=known(frames, x=100))
