"""Planes of a picture are those that training makes, and lead back to the picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_bundles import picture, write_bundle

from runtime import as_pixels, load
from runtime.bicubic import enlarge
from runtime.pictures import as_input
from runtime.planes import CHANNELS, as_picture, as_planes
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.references import reference
from trainers.data.imresize import resize
from trainers.data.planes import CHANNELS as TRAINED
from trainers.data.planes import Planes


def smooth(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture whose chroma survives being halved."""
    return resize(picture(height // 16, width // 16) // 4 + 96, Fraction(16))


@pytest.mark.parametrize("planes", CHANNELS)
def test_they_are_those_of_training(planes: str) -> None:
    frame = picture()
    trained = Planes(planes).of_pixels(frame)
    assert np.array_equal(as_pixels(as_planes(frame[None], planes)), trained)
    assert CHANNELS == TRAINED


def test_bicubic_is_that_of_the_papers() -> None:
    frame = picture(13, 9)
    for factor in (2, 3, 4):
        ours = as_pixels(np.clip(enlarge(as_input(frame), factor), 0, 1))
        assert np.abs(ours.astype(int) - resize(frame, factor)).max() <= 1


@pytest.mark.parametrize("planes", CHANNELS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_identity_gives_the_picture_back(planes: str, dtype: type) -> None:
    frame = smooth(32, 48).astype(dtype)[None] * dtype(257 if dtype is np.uint16 else 1)
    back = as_picture(as_planes(frame, planes), frame, planes)
    worst = {"rgb": 0, "luma": 1, "ycbcr420": 2}[planes]
    assert back.dtype == dtype
    peak = np.iinfo(dtype).max / 255
    assert np.abs(back.astype(float) - frame).max() / peak <= worst + 0.5 * (worst > 0)


def test_a_network_of_luma_enlarges_a_coloured_picture_in_tiles_too(tmp_path: Path) -> None:
    folder = write_bundle(
        tmp_path / "b", reference("ecbsr_m4c16_y", 2), precisions=("fp32",),
        said={"planes": "luma", "margin": 6, "multiple": 1},
    )
    frame = picture(60, 71)
    whole, cut = load(folder)(frame), load(folder, tile=40)(frame)
    assert whole.shape == (120, 142, 3)
    assert np.abs(whole.astype(int) - cut.astype(int)).max() <= 1
    luma = load(folder)(picture(24, 32, 1))
    assert luma.shape == (48, 64, 1)


def test_a_network_of_a_decoders_planes_takes_rgb_of_any_size(tmp_path: Path) -> None:
    network = Architecture(
        "upscaler", one_to_one(6, 6, 2), (BlockSpec.of("conv", 8),), (("base", "bicubic"),)
    )
    folder = write_bundle(
        tmp_path / "b", network, precisions=("fp32",),
        said={"planes": "ycbcr420", "margin": 4, "multiple": 1},
    )
    frame = picture(61, 71)
    whole, cut = load(folder)(frame), load(folder, tile=44)(frame)
    assert whole.shape == (122, 142, 3)
    assert np.abs(whole.astype(int) - cut.astype(int)).max() <= 1
    assert load(folder)(picture(12, 16, 6)).shape == (24, 32, 6)
