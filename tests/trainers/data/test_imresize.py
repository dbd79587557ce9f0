import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.imresize import crop_to_multiple, cubic, enlarge, resize, shrink, taps
from trainers.metrics import psnr_y

SCALES = [Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), Fraction(2), Fraction(3), Fraction(4)]


def research_data() -> Path:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(os.environ.get("FREEWAY_DATA", default))


def test_the_kernel_is_one_at_zero_and_zero_at_the_other_integers() -> None:
    x = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(cubic(x), [0, 0, 0, 1, 0, 0, 0], atol=1e-15)


def test_the_shifted_kernels_add_up_to_one_everywhere() -> None:
    offsets = np.linspace(0, 1, 51)[:, None] + np.arange(-3, 4)
    np.testing.assert_allclose(cubic(offsets).sum(axis=1), 1.0, atol=1e-14)


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_the_weights_of_every_output_pixel_add_up_to_one(scale: Fraction) -> None:
    index, weight = taps(24, scale)
    np.testing.assert_allclose(weight.sum(axis=1), 1.0, atol=1e-14)
    assert len(index) == 24 * scale
    assert index.min() >= 0
    assert index.max() < 24


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_a_constant_picture_stays_constant(scale: Fraction) -> None:
    flat = np.full((24, 36, 3), 137, np.uint8)
    assert np.all(resize(flat, scale) == 137)


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_a_mirrored_picture_resizes_to_the_mirrored_result(scale: Fraction) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 36, 3)).astype(np.uint8)
    assert np.array_equal(resize(picture[::-1, ::-1], scale), resize(picture, scale)[::-1, ::-1])


def test_halving_takes_eight_taps_with_the_known_weights() -> None:
    # The kernel at (k + 1/2) / 2 over two: -3, -9, 29, 111 in units of 1/256, and mirrored.
    index, weight = taps(32, Fraction(1, 2))
    np.testing.assert_array_equal(index[8], np.arange(13, 21))
    half = np.array([-3, -9, 29, 111]) / 256
    np.testing.assert_allclose(weight[8], np.concatenate([half, half[::-1]]), atol=1e-14)


def test_the_edge_pixel_is_repeated_by_the_mirror() -> None:
    index, _ = taps(8, Fraction(2))
    assert 0 in index[0]
    assert sorted(index[0].tolist()) == [0, 0, 1, 1]


def test_halves_are_rounded_up() -> None:
    # Averages of 0 and 1 in the middle of a wide step pattern: exactly one half.
    picture = np.tile(np.array([0, 1], np.uint8), 16)[None, :, None].repeat(32, 0).repeat(3, 2)
    assert np.all(shrink(picture, 2)[:, 4:-4] == 1)


def test_pillow_nearly_agrees_away_from_the_borders() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 80, 3)).astype(np.uint8)
    theirs = Image.fromarray(picture).resize((40, 32), Image.Resampling.BICUBIC)
    difference = np.abs(shrink(picture, 2).astype(int) - np.asarray(theirs).astype(int))
    # Pillow rounds to 8 bits between its two passes.
    assert difference[4:-4, 4:-4].max() <= 2
    assert difference[4:-4, 4:-4].mean() < 0.4


def test_cutting_to_a_multiple_keeps_the_top_left() -> None:
    picture = np.arange(7 * 10 * 3, dtype=np.uint8).reshape(7, 10, 3)
    assert np.array_equal(crop_to_multiple(picture, 4), picture[:4, :8])


@pytest.mark.skipif(
    not (research_data() / "val" / "set5").is_dir(),
    reason="the research data with Set5 is not here; FREEWAY_DATA may name it",
)
@pytest.mark.parametrize(("scale", "low", "high"), [(2, 33.65, 33.69), (3, 30.39, 30.41),
                                                    (4, 28.42, 28.435)])  # fmt: skip
def test_bicubic_on_set5_has_the_psnr_of_the_papers(scale: int, low: float, high: float) -> None:
    psnrs = []
    for path in sorted((research_data() / "val" / "set5").glob("*.png")):
        with Image.open(path) as image:
            target = crop_to_multiple(np.asarray(image.convert("RGB")), scale)
        psnrs.append(psnr_y(enlarge(shrink(target, scale), scale), target, border=scale))
    assert len(psnrs) == 5
    assert low <= np.mean(psnrs) <= high
