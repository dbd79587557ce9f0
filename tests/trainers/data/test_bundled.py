from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from trainers.base import DataError
from trainers.data import bundled


def test_the_bundled_pictures_are_colour_photographs_of_useful_size() -> None:
    for photo in bundled.training_photos() + bundled.validation_photos():
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.shape[2] == 3
        assert min(photo.pixels.shape[:2]) >= 256
        assert np.any(photo.pixels[..., 0] != photo.pixels[..., 2])


def test_no_scene_is_in_both_halves_of_the_split() -> None:
    scenes = [
        {name.split(".")[0].split("_")[0] for _, name in half}
        for half in (bundled.TRAIN, bundled.VALIDATION)
    ]
    assert not scenes[0] & scenes[1]
    assert len(bundled.VALIDATION) == 3


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
