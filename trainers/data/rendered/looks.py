"""What surfaces look like: patterns and holes, the sky, and light as a picture shows it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainers.data.rendered.scene import HOLES, PATTERNS, Looks

_GAMMA = 2.2
_BRIGHTEST = 0.999
_BARS, _FENCE_RATE, _LEAF_RATE, _LEAVES = 0.25, 5.0, 5.0, -0.1


def tone_map(light: Tensor) -> Tensor:
    """Linear light of any brightness as values in [0, 1]: 1 - exp(-x), then a gamma of 2.2."""
    return (1 - (-light.clamp_min(0)).exp()) ** (1 / _GAMMA)


def light_of(values: Tensor) -> Tensor:
    """The linear light of tone-mapped values; those of white and near it count as 6.9."""
    return -torch.log1p(-values.clamp(0, _BRIGHTEST) ** _GAMMA)


def opaque(looks: Looks, rows: slice, local: Tensor) -> Tensor:
    """Where cards have no hole.

    Args:
        rows: the cards' rows among all solids.
        local: places in the cards' own frames, (P, 3, N).

    Returns:
        (P, N).
    """
    bars = ((local[:, :2] * _FENCE_RATE) % 1 < _BARS).any(dim=1)
    leaves = _noise(looks, local * _LEAF_RATE) > _LEAVES
    fence = (looks.holes[rows] == HOLES.index("fence"))[:, None]
    return torch.where(fence, bars, leaves)


def albedo(looks: Looks, solid: Tensor, local: Tensor, width: Tensor) -> Tensor:
    """The colour of surfaces, linear, (3, N).

    Args:
        solid: rows, (N,).
        local: places in the solids' own frames, (3, N).
        width: of what a pixel sees of the surface, (N,). A pattern finer than that fades into
            its mean, as textures do in a renderer that filters them.
    """
    # Floors and cards are at 0 along one axis, where a checker would have its edge.
    place = local * looks.rate[solid] + 0.31
    pattern = looks.pattern[solid]
    sine = (math.pi * place).sin()
    # The hard edges between fields are steep slopes of a sine product.
    checker = (sine.prod(dim=0) * 40).clamp(-1, 1)
    across = place[0] + 0.3 * place[1] + 0.5 * place[2]
    stripes = ((2 * math.pi * across).sin() * 20).clamp(-1, 1)
    noise = (_noise(looks, place[None])[0] * 1.5).clamp(-1, 1)
    value = torch.zeros_like(checker)
    for name, made in (("checker", checker), ("stripes", stripes), ("noise", noise)):
        value = torch.where(pattern == PATTERNS.index(name), made, value)
    seen = (2 - 2 * looks.rate[solid] * width).clamp(0, 1)
    first, second = looks.colours[solid].permute(1, 2, 0)
    mixed: Tensor = first + (second - first) * (0.5 + 0.5 * value * seen)
    return mixed


def _noise(looks: Looks, place: Tensor) -> Tensor:
    """(P, 3, N) -> (P, N): a sum of waves that look like none, about -1 to 1."""
    directions, phases = looks.waves
    waves = (2 * math.pi * (directions @ place) + phases[:, None]).sin()
    return waves.mean(dim=1) * 1.8


def sky(direction: Tensor, light: Tensor) -> Tensor:
    """Light from above, (3, N): brighter near the horizon, with a few soft bands of cloud."""
    x, y, z = direction
    up = y.clamp_min(0)
    bands = ((x * 9 + z * 5 + up * 21).sin() * (x * 4 - up * 13).cos()).clamp_min(0) * up
    shade = 1.2 - 0.7 * up + 0.8 * bands
    blue = torch.stack((0.7 + 0.3 * bands, 0.85 + 0.15 * bands, torch.ones_like(up)))
    made: Tensor = light[:, None] * shade * blue
    return made
