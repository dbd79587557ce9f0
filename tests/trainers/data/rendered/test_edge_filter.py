"""Softened edges: stairs become slopes, and what has no edge stays as it was."""

from __future__ import annotations

import numpy as np

from trainers.data.rendered.edge_filter import soften_edges

SIDE = 48


def half_plane(slope: float, *, finer: int) -> np.ndarray:
    """White above a line, (1, 3, SIDE, SIDE), each pixel the mean of finer x finer samples."""
    places = (np.arange(SIDE * finer) + 0.5) / finer
    above = (places[:, None] < SIDE / 2 + slope * (places - SIDE / 2)).astype(np.float32)
    mean = above.reshape(SIDE, finer, SIDE, finer).mean((1, 3))
    return np.broadcast_to(mean, (1, 3, SIDE, SIDE)).astype(np.float32)


def test_stairs_become_what_many_samples_show() -> None:
    for slope in (0.13, 0.3, -0.2):
        for turn in (0, 1):
            stairs, truth = (np.rot90(half_plane(slope, finer=n), turn, axes=(2, 3)).copy()
                             for n in (1, 16))
            before, after = (float(np.square(x - truth).mean())
                             for x in (stairs, soften_edges(stairs)))
            assert after < 0.5 * before, (slope, turn)


def test_what_is_flat_or_straight_stays_as_it_is() -> None:
    flat = np.full((1, 3, SIDE, SIDE), 0.4, np.float32)
    ramp = np.broadcast_to(np.linspace(0, 1, SIDE, dtype=np.float32), (1, 3, SIDE, SIDE)).copy()
    straight = half_plane(0.0, finer=1)
    for picture in (flat, ramp):
        assert np.array_equal(soften_edges(picture), picture)
    assert np.abs(soften_edges(straight) - straight).mean() < 0.01


def test_it_stays_a_picture() -> None:
    noise = np.random.default_rng(0).random((1, 3, SIDE, SIDE)).astype(np.float32)
    made = soften_edges(noise)
    assert made.shape == noise.shape and made.dtype == np.float32
    assert 0 <= made.min() and made.max() <= 1
