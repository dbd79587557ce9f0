"""A small ray caster: what one sample, or the mean of many, sees of a scene at one time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.data.rendered.looks import albedo, sky, tone_map
from trainers.data.rendered.rays import FAR, NEAR, Hits, Rays, first_hits, reached, turned, unit
from trainers.data.rendered.scene import Poses, Scene

_RAYS = 16384
"""At once: as many as the caches of a core hold."""
_SHADOW_STEP = 4 * NEAR
_CONTRAST = 0.02
"""Of samples of one pixel in [0, 1], from which on it takes more of them."""
OUTSIDE = 1e4
"""Motion, in pixels, of what was not seen in the frame before: far out of every picture."""
FARTHEST = 50.0
"""Depth counts up to here, the sky's too."""


@dataclass(frozen=True)
class Film:
    """A grid of pixels.

    Attributes:
        size: height and width in pixels.
        finest: height in pixels of the finest grid that the textures are to be filtered for.
    """

    size: int
    finest: int


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What is seen of surfaces in the middle of each pixel, moved by a jitter.

    Attributes:
        colour: linear light, (3, S, S).
        depth: along the camera's axis, (1, S, S).
        motion: (2, S, S) in pixels, x first: where the same point of the surface was in the frame
            before, less where it is now. The camera's jitter is no motion.
        albedo: linear, (3, S, S); 1 for the sky.
        normal: (3, S, S), in the scene's frame; 0 for the sky.
    """

    colour: Tensor
    depth: Tensor
    motion: Tensor
    albedo: Tensor
    normal: Tensor


def halton(index: int, base: int) -> float:
    """The number `index` of the sequence of van der Corput in a base, in [0, 1)."""
    value, share = 0.0, 1.0
    while index:
        share /= base
        index, digit = divmod(index, base)
        value += share * digit
    return value


def jitter_at(frame: int, *, period: int = 16) -> tuple[float, float]:
    """Sub-pixel offset of a frame, x and y in [-0.5, 0.5), by Halton's sequence in 2 and 3."""
    place = frame % period + 1
    return halton(place, 2) - 0.5, halton(place, 3) - 0.5


def surfaces(
    scene: Scene, time: float, film: Film, *, jitter: tuple[float, float], random: torch.Generator
) -> Surfaces:
    """One sample a pixel, with all that is known about it."""
    offsets = torch.tensor(jitter)[:, None].expand(-1, film.size**2)
    poses, parts = scene.poses(time), []
    for pixels, rays in _chunks(scene, time, film, offsets):
        hits = first_hits(scene, poses, rays)
        base = _albedo(scene, hits, rays, film)
        colour = _lit(scene, poses, rays, hits, base, random)
        depth = (hits.distance * _along(scene, time, rays)).clamp(max=FARTHEST)
        before = _before(scene, time - 1, hits, rays)
        motion = _projected(scene, time - 1, before, film) - pixels
        normal = torch.where(hits.sky, 0.0, hits.normal)
        parts.append((colour, depth[None], motion, torch.where(hits.sky, 1.0, base), normal))
    joined = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
    return Surfaces(*(part.view(-1, film.size, film.size) for part in joined))


def motion_where_seen(scene: Scene, time: float, film: Film) -> Tensor:
    """Motion in the middle of each pixel, (2, S, S); OUTSIDE where it was hidden before."""
    poses, earlier = scene.poses(time), scene.poses(time - 1)
    eye, parts = scene.view(time - 1).place[:, None], []
    for pixels, rays in _chunks(scene, time, film, torch.zeros(2, film.size**2)):
        hits = first_hits(scene, poses, rays)
        before = _before(scene, time - 1, hits, rays)
        motion = _projected(scene, time - 1, before, film) - pixels
        way = before - eye
        far = way.square().sum(0).sqrt()
        back = Rays(eye, way / far)
        seen = hits.sky | reached(scene, earlier, back, before=far * (1 - 1e-3))
        seen &= ~hits.sky | reached(scene, earlier, Rays(eye, rays.direction))
        parts.append(torch.where(seen, motion, OUTSIDE))
    return torch.cat(parts, dim=1).view(2, film.size, film.size)


def reference(
    scene: Scene, time: float, film: Film, *, samples: int, random: torch.Generator
) -> Tensor:
    """The mean light of many samples spread over each pixel, (3, S, S), linear.

    Half of `samples` squared tell where there is anything to see; there and beside it `samples`
    squared are added.
    """
    every = torch.arange(film.size**2)
    first, contrast = _gathered(scene, time, film, every, max(2, samples // 2), random)
    spread = contrast.view(1, film.size, film.size)
    spread = torch.nn.functional.max_pool2d(spread, 3, stride=1, padding=1)
    fine = (spread.flatten() > _CONTRAST).nonzero()[:, 0]
    total, counts = first, torch.full((film.size**2,), float(max(2, samples // 2) ** 2))
    if len(fine):
        total[:, fine] += _gathered(scene, time, film, fine, samples, random)[0]
        counts[fine] += samples**2
    return (total / counts).view(3, film.size, film.size)


def _gathered(
    scene: Scene, time: float, film: Film, places: Tensor, side: int, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The sum of side * side samples in some pixels, (3, N), and how far they differ, (N,)."""
    total, poses = torch.zeros(3, len(places)), scene.poses(time)
    least, most = torch.ones(3, len(places)), torch.zeros(3, len(places))
    for number in range(side**2):
        cell = torch.tensor([[number % side], [number // side]])
        offsets = (cell + torch.rand(2, len(places), generator=random)) / side - 0.5
        made = []
        for _, rays in _chunks(scene, time, film, offsets, places):
            hits = first_hits(scene, poses, rays)
            base = _albedo(scene, hits, rays, film)
            made.append(_lit(scene, poses, rays, hits, base, random))
        light = torch.cat(made, dim=1)
        total += light
        values = tone_map(light)
        least, most = torch.minimum(least, values), torch.maximum(most, values)
    return total, (most - least).amax(dim=0)


def shown(light: Tensor) -> Tensor:
    """Linear light as a picture of 8 bits, (C, S, S) uint8."""
    return (tone_map(light) * 255).round().to(torch.uint8)


def _chunks(
    scene: Scene, time: float, film: Film, offsets: Tensor, places: Tensor | None = None
) -> list[tuple[Tensor, Rays]]:
    """The rays through pixels in a few parts, with the pixels that they pass, (2, N).

    Args:
        offsets: from the middle of each pixel, (2, N).
        places: numbers of the pixels, row after row, (N,); all when None.
    """
    view = scene.view(time)
    numbers = torch.arange(film.size**2) if places is None else places
    pixels = torch.stack((numbers % film.size, numbers // film.size)) + offsets
    plane = (2 * (pixels + 0.5) / film.size - 1) / scene.focal
    local = torch.stack((plane[0], -plane[1], torch.ones_like(plane[0])))
    direction = view.turn @ unit(local)
    every = zip(torch.split(pixels, _RAYS, 1), torch.split(direction, _RAYS, 1), strict=True)
    return [(part, Rays(view.place[:, None], towards)) for part, towards in every]


def _along(scene: Scene, time: float, rays: Rays) -> Tensor:
    """Cosines between the rays and the camera's axis, (N,)."""
    return scene.view(time).turn[:, 2] @ rays.direction


def _albedo(scene: Scene, hits: Hits, rays: Rays, film: Film) -> Tensor:
    slant = (hits.normal * rays.direction).sum(0).abs().clamp_min(0.05)
    width = hits.distance * (2 / (scene.focal * film.finest)) / slant
    return albedo(scene.looks, hits.solid, hits.local, width)


def _lit(
    scene: Scene, poses: Poses, rays: Rays, hits: Hits, base: Tensor, random: torch.Generator
) -> Tensor:
    """The light that comes back along each ray, (3, N)."""
    normal = hits.normal
    drawn = torch.randn(3, normal.shape[1], generator=random) * (0.5 * scene.sun_radius)
    towards = scene.sun[:, None] + drawn
    towards = unit(towards)
    lit = (normal * towards).sum(0).clamp_min(0)
    place = rays.origin + hits.distance * rays.direction + _SHADOW_STEP * normal
    asks = ((lit > 0) & ~hits.sky).nonzero()[:, 0]
    sunny = torch.zeros_like(lit)
    if len(asks):
        sunny[asks] = reached(scene, poses, Rays(place[:, asks], towards[:, asks])).float()
    strength, exponent = scene.looks.gloss[hits.solid].T
    shine = (normal * unit(towards - rays.direction)).sum(0).clamp_min(0)
    direct = scene.sun_light[:, None] * (sunny * lit)
    highlight = scene.sun_light[:, None] * (sunny * strength * shine**exponent)
    around = scene.sky_light[:, None] * (0.6 + 0.4 * normal[1])
    made = base * (direct + around) + highlight
    return torch.where(hits.sky, sky(rays.direction, scene.sky_light), made)


def _before(scene: Scene, time: float, hits: Hits, rays: Rays) -> Tensor:
    """Where the points that were hit were at an earlier time, (3, N); the sky is far away."""
    poses = scene.poses(time)
    moved = turned(poses.turn[hits.solid], hits.local)
    moved = moved + poses.place[hits.solid].T
    far = scene.view(time).place[:, None] + FAR * rays.direction
    return torch.where(hits.sky, far, moved)


def _projected(scene: Scene, time: float, points: Tensor, film: Film) -> Tensor:
    """The pixels where points are seen, (2, N), counted from the first one's middle."""
    view = scene.view(time)
    x, y, z = view.turn.T @ (points - view.place[:, None])
    # What lies behind the camera is nowhere in the picture.
    z = torch.where(z > NEAR, z, NEAR)
    plane = torch.stack((x / z, -y / z)) * scene.focal
    return ((plane + 1) * film.size / 2 - 0.5).clamp(-OUTSIDE, OUTSIDE)
