"""Rendered clips on disk: made once, the same for a seed, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainers.base import DataError
from trainers.data.rendered import clips
from trainers.data.rendered.clips import ARRAYS, Making, render, rendered_clips

TINY = Making(frames=3, size=16, scale=2, samples=2)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    one, again, other = render(7, TINY), render(7, TINY), render(8, TINY)
    assert all(one[name].tobytes() == again[name].tobytes() for name in one)
    assert not np.array_equal(one["colour"], other["colour"])


def test_a_clip_has_what_it_says(tmp_path: Path) -> None:
    (clip,) = rendered_clips([7], TINY, home=tmp_path)
    assert (clip.frames, clip.scale) == (3, 2)
    assert clip.colour.shape == (3, 3, 16, 16) and clip.reference.shape == (3, 3, 32, 32)
    assert clip.motion.shape == (3, 2, 16, 16) and clip.reference_motion.shape == (3, 2, 32, 32)
    assert clip.jitter.shape == (3, 2) and len(set(map(tuple, clip.jitter))) == 3
    assert clip.albedo is not None and clip.normal is not None
    assert np.abs(np.linalg.norm(clip.normal.astype(float) / 127, axis=1) - 0.5).max() < 0.52
    small = clip.reference.reshape(3, 3, 16, 2, 16, 2).mean((3, 5))
    assert np.median(np.abs(small - clip.colour)) < 8


def test_clips_are_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = rendered_clips([1, 2], TINY, home=tmp_path)
    assert "2 of 2" in capfd.readouterr().err
    monkeypatch.setattr(clips, "render", lambda *_: pytest.fail("rendered again"))
    again = rendered_clips([2, 1], TINY, home=tmp_path)
    assert np.array_equal(made[0].colour, again[1].colour)
    assert capfd.readouterr().err == ""


def test_what_was_killed_or_torn_is_made_again_and_the_rest_is_kept(tmp_path: Path) -> None:
    first = rendered_clips([1, 2], TINY, home=tmp_path)
    (place,) = tmp_path.iterdir()
    (place / "clip-0000000003.part").mkdir()
    torn = place / "clip-0000000002" / "colour.npy"
    torn.unlink()
    torn.write_bytes(b"\x93NUMPY torn")
    kept = (place / "clip-0000000001" / "colour.npy").stat().st_mtime_ns
    again = rendered_clips([1, 2, 3], TINY, home=tmp_path)
    assert np.array_equal(again[1].colour, first[1].colour) and len(again) == 3
    assert (place / "clip-0000000001" / "colour.npy").stat().st_mtime_ns == kept
    assert not list(place.glob("*.part"))


def test_a_renderer_of_another_version_has_clips_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered_clips([1], TINY, home=tmp_path)
    monkeypatch.setattr(clips, "VERSION", clips.VERSION + 1)
    rendered_clips([1], TINY, home=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(DataError, match="frames=1: use 2 to 1000"):
        Making(frames=1)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DataError, match="set XDG_CACHE_HOME"):
        rendered_clips([1], TINY, home=file)
    assert set(ARRAYS) <= set(render(1, TINY))
