import numpy as np
import pytest
import torch

from trainers.data.photo import Photo
from trainers.data.pictures import Picks, Pictures, _signed, mirrored


def photo(height: int, width: int, *, seed: int = 0, deep: bool = False) -> Photo:
    random = np.random.default_rng(seed)
    levels = random.integers(0, 65536 if deep else 256, (height, width, 3))
    return Photo(str(seed), levels.astype(np.uint16 if deep else np.uint8))


def picks(*rows: tuple[int, int, int, int]) -> Picks:
    return Picks(*(np.array(column, np.int64) for column in zip(*rows, strict=True)))


def levels(crop: torch.Tensor, most: int = 255) -> np.ndarray:
    """(3, H, W) in [0, 1] -> (H, W, 3)."""
    return np.asarray((crop * most).round().long().permute(1, 2, 0))


def test_the_eight_turns_are_the_eight_symmetries_of_the_square() -> None:
    one = photo(9, 11)
    crops = Pictures.of([one]).cut(picks(*((0, 2, 3, turn) for turn in range(8))), side=5)
    square = one.stored[2:7, 3:8]
    expected = {np.rot90(m, k).tobytes() for m in (square, square[::-1]) for k in range(4)}
    assert len(expected) == 8
    assert {levels(crop).astype(np.uint8).tobytes() for crop in crops} == expected
    assert np.array_equal(levels(crops[0]), square)


def test_turning_a_crop_is_turning_what_lies_around_it_too() -> None:
    one = photo(20, 20)
    wide = Pictures.of([one]).cut(picks((0, 6, 5, 6)), side=6, margin=3)[0]
    inner = Pictures.of([one]).cut(picks((0, 6, 5, 6)), side=6)[0]
    assert torch.equal(wide[:, 3:-3, 3:-3], inner)
    around = one.stored[3:15, 2:14][:, ::-1].transpose(1, 0, 2)
    assert np.array_equal(levels(wide), around)


def test_beyond_the_edges_a_picture_is_mirrored() -> None:
    one = photo(6, 7)
    wide = Pictures.of([one]).cut(picks((0, 0, 1, 0)), side=6, margin=9)[0]
    padded = np.pad(one.stored, ((9, 9), (9, 9), (0, 0)), mode="symmetric")
    assert np.array_equal(levels(wide), padded[0:24, 1:25])


def test_mirroring_repeats_the_edge_sample() -> None:
    assert mirrored(np.arange(-5, 8), 3).tolist() == [1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]


def test_pictures_of_different_sizes_and_depths_are_cut_alike() -> None:
    photos = [photo(8, 9), photo(10, 7, seed=1, deep=True)]
    crops = Pictures.of(photos).cut(picks((0, 1, 2, 0), (1, 3, 0, 0)), side=5)
    assert np.array_equal(levels(crops[0]), photos[0].stored[1:6, 2:7])
    assert np.array_equal(levels(crops[1], 65535), photos[1].stored[3:8, 0:5])


def test_eight_bits_kept_as_sixteen_give_the_very_same_numbers() -> None:
    flat = Photo("", np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3))
    deep = Photo("", flat.stored.astype(np.uint16) * np.uint16(257))
    one, other = (Pictures.of([p]).cut(picks((0, 0, 0, 0)), side=16) for p in (flat, deep))
    assert torch.equal(one, other)
    assert np.array_equal(deep.pixels, flat.stored)


def test_sixteen_bits_tell_neighbouring_levels_apart() -> None:
    deep = Photo("", np.array([40000, 40001], np.uint16).repeat(6).reshape(2, 2, 3))
    crop = Pictures.of([deep]).cut(picks((0, 0, 0, 0)), side=2)[0, 0]
    assert crop[1, 0] - crop[0, 0] == pytest.approx(1 / 65535, rel=1e-2)


def test_pictures_of_one_shelf_are_not_copied() -> None:
    cache = np.random.default_rng(0).integers(0, 256, (100, 3)).astype(np.uint8)
    photos = [
        Photo(str(k), cache[s : s + 36].reshape(6, 6, 3), cache, s) for k, s in enumerate((0, 36))
    ]
    pictures = Pictures.of(photos[1:])
    cache[36] = 7
    assert np.array_equal(levels(pictures.cut(picks((0, 0, 0, 0)), side=6)[0]), photos[1].stored)


def test_all_places_of_all_pictures_are_equally_likely() -> None:
    pictures = Pictures.of([photo(3, 3), photo(2, 4)])
    drawn = pictures.draw(np.random.default_rng(0), size=14000, side=2)
    places = np.stack([drawn.picture, drawn.top, drawn.left], axis=1)
    seen, counts = np.unique(places, axis=0, return_counts=True)
    assert len(seen) == 4 + 3
    assert np.all(np.abs(counts - 2000) < 5 * np.sqrt(2000))
    assert np.all(np.bincount(drawn.turn, minlength=8) > 1500)


def test_places_are_multiples_of_the_step() -> None:
    drawn = Pictures.of([photo(10, 11)]).draw(np.random.default_rng(0), size=500, side=4, step=3)
    assert set(drawn.top.tolist()) == {0, 3, 6}
    assert set(drawn.left.tolist()) == {0, 3, 6}


def test_no_picture_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no picture to cut from"):
        Pictures.of([])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_crops_are_the_same_on_a_gpu() -> None:
    pictures = Pictures.of([photo(30, 40), photo(20, 25, seed=1, deep=True)])
    drawn = pictures.draw(np.random.default_rng(0), size=16, side=12)
    here = pictures.cut(drawn, side=12, margin=3)
    there = pictures.cut(drawn, side=12, margin=3, device="cuda")
    assert there.is_cuda
    assert torch.allclose(here, there.cpu(), atol=1e-7)


@pytest.mark.parametrize("deep", [False, True])
def test_the_vectorised_gather_of_a_gpu_gives_what_a_processor_cuts(
    monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    pictures = Pictures.of([photo(30, 40, deep=deep), photo(20, 25, seed=1, deep=deep)])
    drawn = pictures.draw(np.random.default_rng(0), size=16, side=12)
    expected = pictures.cut(drawn, side=12, margin=3)
    there = torch.from_numpy(_signed(pictures._levels))
    monkeypatch.setattr(pictures, "_on", lambda device: there)
    torch.testing.assert_close(pictures.cut(drawn, side=12, margin=3), expected, atol=1e-7, rtol=0)
