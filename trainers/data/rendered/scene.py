"""What the renderer shows: a few solids that are looked at, how they move, and their looks.

Everything follows from a seed and is written down as tensors, all solids of a kind side by side,
so that one operation meets all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

KINDS = ("plane", "sphere", "box", "wire", "card")
"""An endless floor, a ball, a box, a thin cylinder, a rectangle with holes."""
PATTERNS = ("plain", "checker", "stripes", "noise")
HOLES = ("fence", "foliage")
WAVES = 6
_MOST = {"sphere": 3, "box": 4, "wire": 4, "card": 2}
_STILL = 0.6


@dataclass(frozen=True, eq=False)
class Looks:
    """How the surfaces of all solids look, row by row.

    Attributes:
        colours: two that the pattern goes between, linear light, (P, 2, 3).
        pattern: index into PATTERNS, (P,).
        rate: periods of the pattern per unit of length, (P,).
        gloss: strength of the highlight and its exponent, (P, 2).
        holes: of cards: index into HOLES, (P,).
        waves: directions of the noise's waves and their phases, (WAVES, 3) and (WAVES,).
    """

    colours: Tensor
    pattern: Tensor
    rate: Tensor
    gloss: Tensor
    holes: Tensor
    waves: tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Poses:
    """Where things are at one time: turned by `turn`, then moved to `place`.

    Attributes:
        turn: (P, 3, 3).
        place: (P, 3).
    """

    turn: Tensor
    place: Tensor


@dataclass(frozen=True, eq=False)
class Scene:
    """Solids in order of KINDS, a sun, and a camera's path.

    The floor is at y = 0 and y points up; a unit is about a metre, time goes by frames.

    Attributes:
        counts: how many there are of each of KINDS.
        sizes: (P, 3): half sides of a box and of a card, the radius of a ball, radius and half
            length of a wire.
        places, speeds: (P, 3), at frame 0 and per frame.
        angles, spins: (P, 3): about x, y and z in radians, at frame 0 and per frame.
        sun: direction to it, (3,).
        sun_radius: tangent of its half angle: how soft shadows are.
        sun_light, sky_light: linear, (3,).
        camera: place and speed, (2, 3); yaw and pitch and their speeds, (2, 2).
        focal: focal length over half of the picture's height.
    """

    counts: tuple[int, ...]
    sizes: Tensor
    places: Tensor
    speeds: Tensor
    angles: Tensor
    spins: Tensor
    looks: Looks
    sun: Tensor
    sun_radius: float
    sun_light: Tensor
    sky_light: Tensor
    camera: tuple[Tensor, Tensor]
    focal: float

    def poses(self, time: float) -> Poses:
        """Where the solids are then."""
        place = self.places + self.speeds * time
        return Poses(turns(self.angles + self.spins * time), place)

    def view(self, time: float) -> Poses:
        """Where the camera is then, (3, 3) and (3,); it looks along its own z, y is up."""
        (place, speed), (angles, turning) = self.camera
        yaw, pitch = angles + turning * time
        turn = turns(torch.stack((pitch, yaw, torch.zeros_like(yaw)))[None])[0]
        return Poses(turn, place + speed * time)


def turns(angles: Tensor) -> Tensor:
    """Rotations about z, then x, then y, (N, 3) radians -> (N, 3, 3)."""
    (a, b, c), (p, q, r) = angles.cos().unbind(1), angles.sin().unbind(1)
    zero, one = torch.zeros_like(a), torch.ones_like(a)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=1).view(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, a, -p, zero, p, a)
    about_y = matrix(b, zero, q, zero, one, zero, -q, zero, b)
    about_z = matrix(c, -r, zero, r, c, zero, zero, zero, one)
    return about_y @ about_x @ about_z


def drawn_scene(seed: int) -> Scene:
    """Draw a scene; the same seed gives the same one."""
    random = np.random.default_rng((seed, 0x5CE4E))
    many = {kind: int(random.integers(1, most + 1)) for kind, most in _MOST.items()}
    counts = tuple(many.get(kind, 1) for kind in KINDS)
    kinds = np.repeat(np.arange(len(KINDS)), counts)
    sizes = np.stack([_size(KINDS[kind], random) for kind in kinds])
    places, angles = _stood(kinds, sizes, random)
    speeds, spins = _moved(kinds, random)
    sun = np.array([random.uniform(-1, 1), random.uniform(0.5, 1.5), random.uniform(-1, 0.3)])
    warm = random.uniform(0, 0.25)
    return Scene(
        counts,
        _tensor(sizes),
        places=_tensor(places),
        speeds=_tensor(speeds),
        angles=_tensor(angles),
        spins=_tensor(spins),
        looks=_looks(kinds, random),
        sun=_tensor(sun / np.linalg.norm(sun)),
        sun_radius=float(random.uniform(0.0, 0.12)),
        sun_light=_tensor(random.uniform(1.5, 3.5) * np.array([1 + warm, 1, 1 - warm])),
        sky_light=_tensor(random.uniform(0.3, 0.8) * np.array([1 - warm, 1, 1 + warm])),
        camera=_camera(random),
        focal=float(random.uniform(1.3, 2.0)),
    )


def _size(kind: str, random: np.random.Generator) -> NDArray[np.float64]:
    if kind == "wire":
        return np.array([random.uniform(0.008, 0.05), random.uniform(0.8, 2.5), 1.0])
    if kind == "card":
        return np.array([random.uniform(0.8, 2.0), random.uniform(0.5, 1.2), 1.0])
    return random.uniform(0.25, 0.9, 3)


def _stood(
    kinds: NDArray[np.intp], sizes: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places and angles at frame 0: most things stand on the floor, wires hang about."""
    count = len(kinds)
    places = np.stack(
        [random.uniform(-2.8, 2.8, count), np.zeros(count), random.uniform(-2.5, 3.0, count)], 1
    )
    angles = np.zeros((count, 3))
    angles[:, 1] = random.uniform(-math.pi, math.pi, count)
    for row, kind in enumerate(KINDS[k] for k in kinds):
        if kind == "plane":
            places[row], angles[row] = 0.0, 0.0
        elif kind == "wire":
            places[row, 1] = random.uniform(0.3, 2.0)
            angles[row] = random.uniform(-math.pi, math.pi, 3)
        elif kind == "card":
            places[row, 1] = sizes[row, 1]
            angles[row, 1] = random.uniform(-0.7, 0.7)
        else:
            places[row, 1] = sizes[row, 0 if kind == "sphere" else 1] + random.choice([0, 0, 0.5])
    return places, angles


def _moved(
    kinds: NDArray[np.intp], random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speeds and spins per frame; more than half of the solids stand still."""
    count = len(kinds)
    moves = (random.random(count) > _STILL) & (kinds > 0)
    speeds = random.uniform(-0.06, 0.06, (count, 3)) * moves[:, None]
    speeds[:, 1] *= 0.3
    turning = moves & (random.random(count) < 0.7)
    spins = random.uniform(-0.06, 0.06, (count, 3)) * turning[:, None]
    return speeds, spins


def _looks(kinds: NDArray[np.intp], random: np.random.Generator) -> Looks:
    count = len(kinds)
    hues = random.uniform(0.03, 0.9, (count, 2, 3)) ** 1.5
    grey = hues.mean(2, keepdims=True)
    colours = grey + (hues - grey) * random.uniform(0.2, 1.0, (count, 1, 1))
    pattern = random.integers(len(PATTERNS), size=count)
    pattern[kinds == 0] = random.integers(1, len(PATTERNS))
    rate = 2.0 ** random.uniform(0.5, 4.0, count)
    rate[kinds == 0] = 2.0 ** random.uniform(0.0, 2.0)
    shiny = random.random(count) < 0.5
    gloss = np.stack(
        [shiny * random.uniform(0.2, 1.5, count), 2 ** random.uniform(3, 8, count)], axis=1
    )
    directions = random.standard_normal((WAVES, 3))
    directions *= 2.0 ** random.uniform(-0.5, 1.5, (WAVES, 1)) / np.linalg.norm(
        directions, axis=1, keepdims=True
    )
    phases = random.uniform(0, 2 * math.pi, WAVES)
    return Looks(
        colours=_tensor(colours),
        pattern=torch.from_numpy(pattern),
        rate=_tensor(rate),
        gloss=_tensor(gloss),
        holes=torch.from_numpy(random.integers(len(HOLES), size=count)),
        waves=(_tensor(directions), _tensor(phases)),
    )


def _camera(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One in five stands still; the others walk and turn."""
    still = float(random.random() >= 0.2)
    place = np.array([random.uniform(-1, 1), random.uniform(0.9, 2.5), random.uniform(-6, -4)])
    speed = random.uniform(-1, 1, 3) * (0.09, 0.03, 0.06) * still
    aim = np.array([np.arctan2(-place[0], -place[2]), np.arctan2(place[1] - 0.6, -place[2])])
    turning = random.uniform(-1, 1, 2) * (0.025, 0.008) * still
    return _tensor(np.stack((place, speed))), _tensor(np.stack((aim, turning)))


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32).copy())
