"""Pieces of clips: what points along x and y is mirrored with the picture."""

from __future__ import annotations

import numpy as np
import torch
from smaller import RENDERS

from runtime.moving import COLOUR, DEPTH, MOTION
from trainers.data.rendered.stretches import Stretches, frames_of, whole_frames
from trainers.losses.motion import warp


def test_the_same_step_and_seed_give_the_same_stretches() -> None:
    stretches = Stretches(RENDERS.to_train(scale=2, seed=0), crop=16, frames=3)
    one, again, other = (stretches.batch(s, seed=0, size=3) for s in (5, 5, 6))
    assert torch.equal(one.picture, again.picture) and torch.equal(one.flow, again.flow)
    assert not torch.equal(one.picture, other.picture)


def test_flow_fits_the_pictures_however_they_are_mirrored() -> None:
    """The frame before along the flow is nearer to the frame now than it is in place."""
    stretches = Stretches(RENDERS.to_train(scale=2, seed=0), crop=24, frames=3)
    along, in_place, moved = [], [], []
    for step in range(8):
        drawn = stretches.batch(step, seed=0, size=2)
        before, now = drawn.picture[:, :-1].flatten(0, 1), drawn.picture[:, 1:].flatten(0, 1)
        found, seen = warp(before, drawn.flow.flatten(0, 1))
        along.append(float(((found - now).abs() * seen).mean()))
        in_place.append(float(((before - now).abs() * seen).mean()))
        moved.append(drawn.inputs[MOTION].sign().mean())
    assert np.mean(along) < 0.7 * np.mean(in_place)
    assert len({round(float(m), 3) for m in moved}) > 4


def test_whole_frames_are_what_a_stretch_of_all_is() -> None:
    (clip, *_) = RENDERS.to_judge(scale=2)
    cut = frames_of(clip, slice(0, clip.frames), (0, 0), 24)
    whole = whole_frames(clip)
    assert len(whole) == clip.frames
    assert np.array_equal(np.concatenate([frame[COLOUR] for frame in whole]), cut[COLOUR])
    assert 0 < cut[DEPTH].min() and cut[DEPTH].max() <= 1
