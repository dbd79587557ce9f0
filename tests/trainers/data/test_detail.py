import numpy as np
import pytest

from trainers.base import Pixels
from trainers.data.bundled import validation_photos
from trainers.data.detail import has_detail
from trainers.data.imresize import crop_to_multiple, enlarge, shrink
from trainers.metrics.pixels import luma

ACROSS = np.arange(240)


def grey(levels: np.ndarray) -> Pixels:
    return np.ascontiguousarray(
        np.broadcast_to(levels[..., None], (240, 240, 3)).astype(np.uint8)
    )


PLAIN = {
    "black": grey(np.zeros((240, 240))),
    "white": grey(np.full((240, 240), 255)),
    "orange": np.full((240, 240, 3), (250, 140, 0), np.uint8),
    "a slow fade": grey(np.broadcast_to(ACROSS // 8, (240, 240))),
    "a step of one level": grey(np.broadcast_to(100 + (ACROSS > 100), (240, 240))),
    "faint noise": grey(np.round(np.random.default_rng(0).normal(60, 0.3, (240, 240)))),
}


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("picture", PLAIN.values(), ids=PLAIN)
def test_a_picture_of_nearly_one_colour_has_no_detail(picture: Pixels, times: int) -> None:
    assert not has_detail(picture, times)


@pytest.mark.parametrize("times", [2, 3, 4])
def test_photographs_have_detail(times: int) -> None:
    for photo in validation_photos():
        assert has_detail(crop_to_multiple(photo.pixels, times), times)


@pytest.mark.parametrize("place", [(120, 120), (20, 20), (230, 70)])
def test_one_small_thing_on_black_is_detail_wherever_it_lies(place: tuple[int, int]) -> None:
    picture = grey(np.zeros((240, 240)))
    y, x = place
    picture[y - 4 : y + 4 : 2, x - 4 : x + 4] = 255
    assert has_detail(picture, 2)


@pytest.mark.parametrize("size", [(8, 8), (24, 30), (90, 250), (250, 90)])
def test_pictures_of_all_shapes_are_looked_at_whole(size: tuple[int, int]) -> None:
    """What is left of a random picture is far from the limit on either side of it."""
    noise = np.random.default_rng(0).normal(size=(*size, 1)).repeat(3, 2)
    for strength in (0.1, 0.2, 3.0, 60.0):
        picture = np.clip(np.round(120 + strength * noise), 0, 255).astype(np.uint8)
        lost = np.mean((luma(enlarge(shrink(picture, 2), 2)) - luma(picture)) ** 2)
        assert not 1 / 24 < lost < 1 / 6
        assert has_detail(picture, 2) == (lost > 1 / 12)
