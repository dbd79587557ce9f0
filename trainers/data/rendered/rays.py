"""Where rays meet a scene first. All solids of a kind are met at once, in their own frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.data.rendered.looks import opaque
from trainers.data.rendered.scene import KINDS, Poses, Scene

NEAR = 1e-3
"""Nothing is met nearer than this: a surface does not hide itself."""
FAR = 1e4
_SMALL = 1e-9


@dataclass(frozen=True, eq=False)
class Rays:
    """Straight lines from where they begin.

    Attributes:
        origin: (3, N), or (3, 1) where they share it.
        direction: (3, N), of length one.
    """

    origin: Tensor
    direction: Tensor


@dataclass(frozen=True, eq=False)
class Hits:
    """The first surface on each ray.

    Attributes:
        distance: (N,), FAR where there is only sky.
        solid: its row, (N,); 0 where there is only sky.
        local: the place in the solid's own frame, (3, N).
        normal: (3, N), in the scene's frame, on the side that the ray comes from.
    """

    distance: Tensor
    solid: Tensor
    local: Tensor
    normal: Tensor

    @property
    def sky(self) -> Tensor:
        """Where nothing was met, (N,)."""
        return self.distance >= FAR


def distances(scene: Scene, poses: Poses, rays: Rays) -> Tensor:
    """How far each solid is along each ray, (P, N); FAR where it is missed."""
    inverse = poses.turn.transpose(1, 2)
    origin = inverse @ (rays.origin - poses.place[:, :, None])
    direction = inverse @ rays.direction
    found, first = [], 0
    for kind, count in zip(KINDS, scene.counts, strict=True):
        rows = slice(first, first + count)
        first += count
        meet = _MEETINGS[kind](origin[rows], direction[rows], scene.sizes[rows, :, None])
        if kind == "card":
            local = origin[rows] + meet[:, None] * direction[rows]
            meet = torch.where(opaque(scene.looks, rows, local), meet, FAR)
        found.append(meet)
    return torch.cat(found).nan_to_num_(nan=FAR, posinf=FAR, neginf=FAR).clamp_(max=FAR)


def first_hits(scene: Scene, poses: Poses, rays: Rays) -> Hits:
    """What each ray meets first."""
    distance, solid = distances(scene, poses, rays).min(dim=0)
    turn, place = poses.turn[solid], poses.place[solid]
    place_of = rays.origin + distance * rays.direction
    local = turned(turn.transpose(1, 2), place_of - place.T)
    normal = turned(turn, _normal(scene, solid, local))
    facing = (normal * rays.direction).sum(0)
    return Hits(distance, solid, local, torch.where(facing > 0, -normal, normal))


def reached(scene: Scene, poses: Poses, rays: Rays, *, before: Tensor | float = FAR) -> Tensor:
    """Whether nothing stands on a ray up to a distance, (N,)."""
    return distances(scene, poses, rays).amin(dim=0) >= before


def turned(turn: Tensor, vectors: Tensor) -> Tensor:
    """(N, 3, 3) and (3, N) -> (3, N)."""
    return (turn.permute(1, 2, 0) * vectors).sum(1)


def _ahead(distance: Tensor, meets: Tensor) -> Tensor:
    return torch.where(meets & (distance > NEAR), distance, FAR)


def _plane(origin: Tensor, direction: Tensor, size: Tensor) -> Tensor:
    distance = -origin[:, 1] / direction[:, 1]
    return _ahead(distance, distance < FAR)


def _sphere(origin: Tensor, direction: Tensor, size: Tensor) -> Tensor:
    along = (origin * direction).sum(1)
    off = (origin * origin).sum(1) - size[:, 0] ** 2
    inside = along.square() - off
    return _ahead(-along - inside.clamp_min(0).sqrt(), inside > 0)


def _box(origin: Tensor, direction: Tensor, size: Tensor) -> Tensor:
    steps = 1 / torch.where(direction.abs() < _SMALL, _SMALL, direction)
    middle, half = -origin * steps, size * steps.abs()
    enter, leave = (middle - half).amax(dim=1), (middle + half).amin(dim=1)
    return _ahead(enter, enter < leave)


def _wire(origin: Tensor, direction: Tensor, size: Tensor) -> Tensor:
    """The mantle of a cylinder about y, seen from outside."""
    (ox, oy, oz), (dx, dy, dz) = origin.unbind(1), direction.unbind(1)
    square = (dx * dx + dz * dz).clamp_min(_SMALL)
    along, off = ox * dx + oz * dz, ox * ox + oz * oz - size[:, 0] ** 2
    inside = along.square() - square * off
    distance = (-along - inside.clamp_min(0).sqrt()) / square
    return _ahead(distance, (inside > 0) & ((oy + distance * dy).abs() < size[:, 1]))


def _card(origin: Tensor, direction: Tensor, size: Tensor) -> Tensor:
    distance = -origin[:, 2] / direction[:, 2]
    beside = (origin[:, :2] + distance[:, None] * direction[:, :2]).abs() < size[:, :2]
    return _ahead(distance, beside.all(dim=1))


_MEETINGS = {"plane": _plane, "sphere": _sphere, "box": _box, "wire": _wire, "card": _card}


def _normal(scene: Scene, solid: Tensor, local: Tensor) -> Tensor:
    """(3, N) in the frames of the solids; of length one."""
    counts = torch.tensor(scene.counts)
    kind = torch.repeat_interleave(torch.arange(len(KINDS)), counts)[solid]
    size = scene.sizes[solid].T
    x, y, z = local
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    around = torch.where(kind == KINDS.index("wire"), zero, y)
    faces = (local / size).abs()
    most = (faces >= faces.amax(dim=0)) * local.sign()
    round_kind = (kind == KINDS.index("sphere")) | (kind == KINDS.index("wire"))
    found = torch.where(round_kind, torch.stack((x, around, z)), most)
    found = torch.where(kind == KINDS.index("plane"), torch.stack((zero, one, zero)), found)
    found = torch.where(kind == KINDS.index("card"), torch.stack((zero, zero, one)), found)
    return unit(found)


def unit(vectors: Tensor) -> Tensor:
    """The same directions, of length one, (3, N)."""
    return vectors * vectors.square().sum(0).clamp_min(_SMALL**2).rsqrt()
