"""Accumulation as games do it: what stands still becomes sharper with every frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from runtime.moving import COLOUR, JITTER, MOTION
from trainers.base import Arrays
from trainers.data.rendered.accumulation import Accumulation
from trainers.data.rendered.renderer import Film, jitter_at, reference, shown, surfaces
from trainers.data.rendered.scene import Scene, drawn_scene

SIDE = 32


def still_scene() -> Scene:
    scene = drawn_scene(5)
    camera = tuple(torch.stack((part[0], torch.zeros_like(part[1]))) for part in scene.camera)
    still = torch.zeros_like(scene.speeds)
    return replace(scene, camera=camera, speeds=still, spins=still)


def frames(scene: Scene, count: int) -> list[Arrays]:
    found, random = [], torch.Generator().manual_seed(0)
    for time in range(count):
        jitter = jitter_at(time)
        seen = surfaces(scene, time, Film(SIDE, 2 * SIDE), jitter=jitter, random=random)
        plane = np.broadcast_to(np.float32(jitter)[None, :, None, None], (1, 2, SIDE, SIDE))
        found.append({
            COLOUR: shown(seen.colour).numpy()[None].astype(np.float32) / 255,
            MOTION: seen.motion.numpy()[None], JITTER: plane.copy(),
        })
    return found


def test_a_scene_that_stands_still_becomes_better_with_every_frame() -> None:
    scene = still_scene()
    light = reference(scene, 0, Film(2 * SIDE, 2 * SIDE), samples=4,
                      random=torch.Generator().manual_seed(1))
    truth = shown(light).numpy()[None].astype(np.float32) / 255
    made = Accumulation(2).over(frames(scene, 16))
    errors = [float(np.square(one - truth).mean()) for one in made]
    assert errors[15] < errors[3] < errors[0]
    assert errors[15] < 0.5 * errors[0]


def test_it_keeps_the_size_where_the_scale_is_one() -> None:
    made = Accumulation(1).over(frames(still_scene(), 2))
    assert [one.shape for one in made] == [(1, 3, SIDE, SIDE)] * 2
    assert all(0 <= one.min() and one.max() <= 1 for one in made)


def test_what_was_somewhere_else_is_fetched_from_there() -> None:
    """A picture that is shifted by whole pixels, and a motion that says so."""
    random = np.random.default_rng(0)
    wide = np.kron(random.random((1, 3, 12, 12)), np.ones((4, 4))).astype(np.float32)
    still = np.zeros((1, 2, SIDE, SIDE), np.float32)
    moved = still.copy()
    moved[:, 0] = -2.0
    first = {COLOUR: wide[..., 8:40, 8:40], MOTION: still, JITTER: still}
    second = {COLOUR: wide[..., 8:40, 6:38], MOTION: moved, JITTER: still}
    wrong = {**second, MOTION: -moved}
    weightless = Accumulation(1, clamp=100.0)
    right, off = (weightless.over([first, one])[1] for one in (second, wrong))
    inner = (..., slice(4, -4), slice(4, -4))
    truth = second[COLOUR][inner]
    assert np.abs(right[inner] - truth).mean() < 0.5 * np.abs(off[inner] - truth).mean()
