"""Golden inputs and outputs: small at any size, read back as they were, and held bit for bit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from nas.golden import ARRAYS, GOLDEN, Golden, Made, filled, kept_of, read_golden, sample_of
from runtime.signature import Port, Signature
from trainers.base import Batch

PORTS = (
    Port("image", 3), Port("motion", 2, Fraction(1, 2), "map"), Port("before", 4, kind="state"),
)  # fmt: skip
SIGNATURE = Signature(
    PORTS, (Port("made", 3, Fraction(2)), Port("after", 4, kind="state")), {"after": "before"}
)


@dataclass(frozen=True)
class Clips:
    """A task of three frames that calibrates with pictures which 8 bits do not hold."""

    def calibration(self, count: int) -> Batch:
        dice = torch.Generator().manual_seed(1)
        image = torch.rand((count, 3, 3, 16, 16), generator=dice)
        motion = torch.rand((count, 3, 2, 8, 8), generator=dice) * 9 - 4
        return Batch({"image": image, "motion": motion}, None, 3)


def outputs(height: int, width: int, seed: int = 0) -> list[dict[str, Any]]:
    dice = np.random.default_rng(seed)
    levels = dice.integers(0, 256, (2, 1, 3, 2 * height, 2 * width)).astype(np.float32)
    state = np.zeros((1, 4, height, width), np.float32)
    return [{"made": one / np.float32(255), "after": state} for one in levels]


def golden_of(size: tuple[int, int], io: Any = "uint8_nhwc") -> Golden:
    sample = sample_of(Clips(), SIGNATURE)  # type: ignore[arg-type]
    windows, known = kept_of("int8", outputs(*size), SIGNATURE, io)
    return Golden(
        sample, {"int8": Made("openvino", "1", "cpu", size, 0.1, 0.01, known)}, windows
    )


def test_crops_become_two_frames_of_one_picture_that_8_bits_hold() -> None:
    first, second = sample_of(Clips(), SIGNATURE)  # type: ignore[arg-type]
    assert first["image"].shape == (1, 3, 64, 64) and first["motion"].shape == (1, 2, 32, 32)
    levels = first["image"] * 255
    assert np.abs(levels - levels.round()).max() < 1e-4
    assert not np.array_equal(first["image"], second["image"])
    crop = Clips().calibration(16).inputs["motion"][5, 0].numpy()
    assert np.array_equal(first["motion"][0, :, 8:16, 8:16], crop)


def test_a_sample_is_mirrored_or_cut_until_it_fills_every_input() -> None:
    frame = sample_of(Clips(), SIGNATURE)[0]  # type: ignore[arg-type]
    for size in ((360, 640), (40, 200), (16, 16)):
        full = filled(frame, SIGNATURE, size)
        assert {name: x.shape[1:] for name, x in full.items()} == {
            port.name: port.shape(*size) for port in SIGNATURE.given
        }
    wide = filled(frame, SIGNATURE, (64, 128))["image"]
    assert np.array_equal(wide[..., 64:], frame["image"][..., ::-1])


@pytest.mark.parametrize("io", ["float_nchw", "uint8_nhwc"])
def test_it_is_read_back_and_the_same_outputs_match_bit_for_bit(io: str) -> None:
    size = (180, 320)
    contents = golden_of(size, io).contents(SIGNATURE)
    assert sum(map(len, contents.values())) < 2e6
    golden = read_golden(contents[ARRAYS], json.loads(contents[GOLDEN]))
    frames = golden.frames("int8", SIGNATURE)
    assert len(frames) == 2 and frames[0]["image"].shape == (1, 3, *size)
    for one, other in zip(golden.sample, golden_of(size).sample, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in other)
    same = golden.match("int8", outputs(*size))
    assert (same.exact, same.largest, same.mean) == (True, 0.0, 0.0)


def test_one_value_outside_of_the_window_is_not_the_same_and_others_are_far() -> None:
    golden, size = golden_of((180, 320)), (180, 320)
    changed = outputs(*size)
    changed[1]["made"][0, 0, 0, 0] += np.float32(0.5)
    match = golden.match("int8", changed)
    assert not match.exact and match.largest == 0
    other = golden.match("int8", outputs(*size, seed=1))
    assert other.largest > 0.5 and other.mean > 0.2
    changed[0]["made"][0, 1, 5, 5] = np.nan
    broken = golden_of(size, "float_nchw").match("int8", changed)
    assert not broken.exact and broken.largest == np.inf
    assert golden.match("int8", outputs(20, 30)).largest == np.inf
