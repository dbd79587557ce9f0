import numpy as np
import pytest
import torch

from trainers.data.crops import Crops


def pairs(scale: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Low pictures of distinct colours, and their exact pixel repetition."""
    random = np.random.default_rng(0)
    lows = [random.integers(0, 256, size).astype(np.uint8) for size in [(20, 30, 3), (16, 16, 3)]]
    return [(low, low.repeat(scale, 0).repeat(scale, 1)) for low in lows]


def test_the_same_step_and_seed_give_the_same_batch() -> None:
    crops = Crops(pairs(), crop=8, scale=2)
    one, other = (crops.batch(5, seed=1, size=4) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], crops.batch(6, seed=1, size=4)[0])
    assert not torch.equal(one[0], crops.batch(5, seed=2, size=4)[0])


@pytest.mark.parametrize("scale", [2, 3])
def test_low_and_high_crops_show_the_same_place_the_same_way_round(scale: int) -> None:
    low, high = Crops(pairs(scale), crop=8, scale=scale).batch(0, seed=0, size=64)
    assert low.shape == (64, 3, 8, 8)
    assert high.shape == (64, 3, 8 * scale, 8 * scale)
    repeated = low.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert torch.equal(repeated, high)


def test_values_are_float32_between_zero_and_one() -> None:
    low, high = Crops([(np.full((8, 8, 3), 255, np.uint8),) * 2], crop=8, scale=1).batch(
        0, seed=0, size=2
    )
    assert low.dtype == high.dtype == torch.float32
    assert torch.all(low == 1.0)


def test_all_pictures_all_corners_and_all_eight_symmetries_turn_up() -> None:
    low = np.arange(9, dtype=np.uint8).reshape(3, 3, 1).repeat(3, 2)
    crops = Crops([(low, low), (low + 100, low + 100)], crop=2, scale=1)
    seen = {tuple((crop[0] * 255).round().int().flatten().tolist())
            for crop in crops.batch(0, seed=0, size=2000)[0]}  # fmt: skip
    assert len(seen) == 2 * 4 * 8


def test_a_picture_smaller_than_a_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller than a crop"):
        Crops(pairs(), crop=17, scale=2)


def test_a_pair_of_unfitting_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="is not 2 times"):
        Crops([(np.zeros((8, 8, 3), np.uint8), np.zeros((16, 15, 3), np.uint8))], crop=4, scale=2)
