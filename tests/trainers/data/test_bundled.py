from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from trainers.base import DataError
from trainers.data import bundled
from trainers.data.drawn import dead_leaves


def test_pictures_to_train_on_are_colour_photographs_of_useful_size() -> None:
    for photo in bundled.training_photos():
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.shape[2] == 3
        assert min(photo.pixels.shape[:2]) >= 256
        assert np.any(photo.pixels[..., 0] != photo.pixels[..., 2])


def test_a_dozen_pictures_judge_and_none_is_large_or_flat() -> None:
    photos = bundled.validation_photos()
    assert len({photo.name for photo in photos}) == len(photos) >= 12
    for photo in photos:
        assert photo.pixels.dtype == np.uint8
        assert 128 <= min(photo.pixels.shape[:2]) <= max(photo.pixels.shape[:2]) <= 256
        assert photo.pixels.std() > 10


def test_drawn_pictures_are_the_same_every_time_and_differ_by_seed() -> None:
    assert np.array_equal(dead_leaves(3, size=64), dead_leaves(3, size=64))
    assert not np.array_equal(dead_leaves(3, size=64), dead_leaves(4, size=64))


def test_no_scene_is_in_both_halves_of_the_split() -> None:
    scenes = [
        {name.split(".")[0].split("_")[0] for _, name in half}
        for half in (bundled.TRAIN, bundled.VALIDATION)
    ]
    assert not scenes[0] & scenes[1]


def test_a_missing_package_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install scikit-image"):
        bundled.training_photos()


def test_a_wheel_without_the_photograph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("skimage", None, origin="/nowhere/skimage/__init__.py")
    monkeypatch.setattr(bundled, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match=r"motorcycle_left\.png"):
        bundled.training_photos()
