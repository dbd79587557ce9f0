"""The ray caster: what hides what, where things were before, and what many samples come to."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.data.rendered.looks import light_of, tone_map
from trainers.data.rendered.rays import FAR, Rays, first_hits
from trainers.data.rendered.renderer import (
    OUTSIDE,
    Film,
    halton,
    jitter_at,
    motion_where_seen,
    reference,
    shown,
    surfaces,
)
from trainers.data.rendered.scene import KINDS, Scene, drawn_scene
from trainers.losses.motion import warp

SIDE = 24


def seen(scene: Scene, time: float, *, side: int = SIDE, jitter: tuple[float, float] = (0, 0)):  # type: ignore[no-untyped-def]
    random = torch.Generator().manual_seed(0)
    return surfaces(scene, time, Film(side, side), jitter=jitter, random=random)


def standing(scene: Scene) -> Scene:
    """The same without anything that moves by itself."""
    still = torch.zeros_like(scene.speeds)
    return replace(scene, speeds=still, spins=still)


def smooth(scene: Scene) -> Scene:
    """With patterns that a coarse grid of pixels still shows."""
    noise = torch.full_like(scene.looks.pattern, 3)
    rate = torch.full_like(scene.looks.rate, 0.3)
    return replace(scene, looks=replace(scene.looks, pattern=noise, rate=rate))


def fetched(before: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    moved, inside = warp(before[None], motion[None])
    return moved[0], inside[0, 0] > 0


def test_the_nearest_of_several_solids_is_seen() -> None:
    scene = drawn_scene(0)
    ball = KINDS.index("sphere")
    assert scene.counts[ball] >= 3
    rows = range(scene.counts[0], scene.counts[0] + 2)
    places, sizes = scene.places.clone(), scene.sizes.clone()
    for row, distance in zip(rows, (3.0, 2.0), strict=True):
        places[row], sizes[row] = torch.tensor([0.0, 50.0, distance]), 0.5
    scene = standing(replace(scene, places=places, sizes=sizes))
    rays = Rays(torch.tensor([[0.0], [50.0], [0.0]]), torch.tensor([[0.0], [0.0], [1.0]]))
    hits = first_hits(scene, scene.poses(0), rays)
    assert hits.solid.item() == rows[1]
    assert hits.distance.item() == pytest.approx(1.5, abs=1e-4)
    assert hits.normal[:, 0].tolist() == pytest.approx([0, 0, -1], abs=1e-4)
    behind = Rays(rays.origin, -rays.direction)
    assert first_hits(scene, scene.poses(0), behind).distance.item() >= FAR


@pytest.mark.parametrize("seed", [1, 4])
def test_the_frame_before_along_motion_is_the_frame_now_where_it_was_seen(seed: int) -> None:
    """A patterned world that stands still under a moving camera; colours without light."""
    scene, side = smooth(standing(drawn_scene(seed))), 96
    before, now = seen(scene, 2, side=side).albedo, seen(scene, 3, side=side).albedo
    motion = motion_where_seen(scene, 3, Film(side, side))
    moved, inside = fetched(before, motion)
    assert motion.abs().median() > 0.1
    assert inside.float().mean() > 0.7
    # At the outlines of things bilinear sampling mixes two of them.
    apart = (moved - now).abs().mean(0)[inside]
    wrong = (fetched(before, -motion.where(inside, 0))[0] - now).abs().mean(0)[inside]
    assert (apart < 0.01).float().mean() > 0.9
    assert apart.quantile(0.8) < 0.25 * wrong.quantile(0.8)


def test_motion_follows_things_that_move_by_themselves() -> None:
    scene = smooth(drawn_scene(0))
    still = torch.zeros(2, 3), torch.zeros(2, 2)
    still[0][0], still[1][0] = scene.camera[0][0], scene.camera[1][0]
    speeds = torch.zeros_like(scene.speeds)
    speeds[1:, 0] = 0.1
    scene = replace(scene, camera=still, speeds=speeds, spins=torch.zeros_like(scene.spins))
    found, side = seen(scene, 1, side=48), 48
    floor = found.normal[1] > 0.99
    distance = found.depth[0]
    # What moves by 0.1 at a distance moves by so many pixels; the floor and the sky not at all.
    wanted = -0.1 * scene.focal * side / 2 / distance
    turned = scene.view(1).turn
    moving = (found.motion[0].abs() > 1e-3) & (distance < 50)
    assert moving.any() and (found.motion[:, floor & ~moving].abs() < 1e-3).all()
    along = wanted * turned[0, 0]
    ratio = found.motion[0][moving] / along[moving]
    assert ratio.median() == pytest.approx(1.0, abs=0.15)


def test_what_was_hidden_before_has_no_place_to_be_fetched_from() -> None:
    scene = drawn_scene(0)
    motion = motion_where_seen(scene, 3, Film(64, 64))
    hidden = (motion >= OUTSIDE).all(0)
    assert 0 < hidden.float().mean() < 0.3


def test_jitter_moves_the_samples_and_not_the_motion() -> None:
    scene = standing(drawn_scene(3))
    one, other = seen(scene, 3, side=64), seen(scene, 3, side=64, jitter=(0.3, -0.2))
    assert (one.colour - other.colour).abs().mean() > 1e-3
    assert (one.motion - other.motion).abs().median() < 0.05


def test_the_reference_converges() -> None:
    scene, film = drawn_scene(5), Film(20, 20)

    def made(samples: int) -> np.ndarray:
        light = reference(scene, 1, film, samples=samples, random=torch.Generator().manual_seed(1))
        return shown(light).numpy().astype(float)

    coarse, fine, finest = made(2), made(8), made(16)
    assert np.abs(fine - finest).mean() < 0.5 < np.abs(coarse - finest).mean() * 2
    assert np.abs(fine - finest).mean() < 0.5 * np.abs(coarse - finest).mean()


def test_tone_mapping_can_be_undone() -> None:
    light = torch.tensor([0.0, 0.01, 0.5, 2.0])
    assert tone_map(light).tolist() == pytest.approx(
        [(1 - math.exp(-x)) ** (1 / 2.2) for x in light.tolist()]
    )
    assert light_of(tone_map(light)).tolist() == pytest.approx(light.tolist(), abs=1e-4)
    assert tone_map(torch.tensor(1e6)).item() <= 1


def test_jitter_visits_all_of_a_pixel() -> None:
    assert [halton(n, 2) for n in (1, 2, 3, 4)] == [0.5, 0.25, 0.75, 0.125]
    offsets = np.array([jitter_at(frame) for frame in range(16)])
    assert len(set(map(tuple, offsets))) == 16
    assert np.abs(offsets).max() < 0.5 and np.abs(offsets.mean(0)).max() < 0.05
    assert jitter_at(16) == jitter_at(0)
