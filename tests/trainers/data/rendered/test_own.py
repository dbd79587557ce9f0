"""Renders of the user's own: frames in files, with our names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from smaller import RENDERS

from trainers.base import DataError
from trainers.data.rendered.clips import RenderedClip
from trainers.data.rendered.looks import light_of, tone_map
from trainers.data.rendered.own import read_renders


def clip() -> RenderedClip:
    return RENDERS.to_judge(scale=2)[0]


def rows(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.transpose(1, 2, 0))


def as_npz(home: Path) -> None:
    home.mkdir(parents=True)
    one = clip()
    for t in range(one.frames):
        np.savez(home / f"frame{t}.npz", colour=rows(one.colour[t]), depth=one.depth[t, 0],
                 motion=rows(one.motion[t]), jitter=one.jitter[t],
                 reference=rows(one.reference[t]),
                 reference_motion=rows(one.reference_motion[t]))


def as_folders(home: Path) -> None:
    one = clip()
    for name in ("colour", "reference", "depth", "motion"):
        (home / name).mkdir(parents=True)
    for t in range(one.frames):
        for name, values in (("colour", one.colour), ("reference", one.reference)):
            Image.fromarray(rows(values[t])).save(home / name / f"{t}.png")
        np.save(home / "depth" / f"{t}.npy", one.depth[t, 0])
        np.save(home / "motion" / f"{t}.npy", rows(one.motion[t]))
    np.savetxt(home / "jitter.txt", one.jitter)


@pytest.mark.parametrize("write", [as_npz, as_folders])
def test_what_was_written_is_read_back(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "walk")
    (found,) = read_renders(tmp_path, frames=2, scale=2)
    wanted = clip()
    assert found.name == "walk" and found.frames == wanted.frames
    for name in ("colour", "depth", "motion", "reference"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert found.jitter == pytest.approx(wanted.jitter)
    assert found.reference_motion.shape == wanted.reference_motion.shape
    assert found.albedo is None


def test_floats_are_linear_light(tmp_path: Path) -> None:
    as_npz(tmp_path / "walk")
    (path, *_) = (tmp_path / "walk").glob("*.npz")
    arrays = dict(np.load(path))
    import torch

    light = light_of(torch.from_numpy(arrays["colour"].astype(np.float32) / 255))
    np.savez(path, **{**arrays, "colour": light.numpy()})
    (found,) = read_renders(tmp_path, frames=2, scale=2)
    number = int(path.stem.removeprefix("frame"))
    apart = found.colour[number].astype(int) - clip().colour[number]
    assert np.abs(apart).max() <= 1 and float(tone_map(torch.tensor(0.0))) == 0


def test_exr_frames_are_read(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR", reason="pip install 'freeway-nas[renders]'")
    as_folders(tmp_path / "walk")
    one = clip()
    for path in (tmp_path / "walk" / "motion").iterdir():
        path.unlink()
    for t in range(one.frames):
        planes = one.motion[t].astype(np.float32)
        header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
        channels = {"X": planes[0].copy(), "Y": planes[1].copy()}
        with exr.File(header, channels) as file:
            file.write(str(tmp_path / "walk" / "motion" / f"{t}.exr"))
    (found,) = read_renders(tmp_path, frames=2, scale=2)
    assert np.array_equal(found.motion, one.motion)


def _without(name: str) -> Callable[[Path], None]:
    def damage(home: Path) -> None:
        (path, *_) = home.glob("*.npz")
        np.savez(path, **{key: x for key, x in np.load(path).items() if key != name})

    return damage


def _torn(home: Path) -> None:
    (path, *_) = home.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])


def _small(home: Path) -> None:
    for path in home.glob("*.npz"):
        arrays = dict(np.load(path))
        np.savez(path, **{**arrays, "depth": arrays["depth"][:8]})


def _empty(home: Path) -> None:
    for path in home.glob("*.npz"):
        path.rename(path.with_suffix(".dat"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_without("motion"), "has no motion: every frame needs colour, depth, motion"),
        (_torn, "cannot be read"),
        (_small, "depth of .* is 24x8, and beside colours of 24x24 it must be 24x24"),
        (_empty, "no clip in"),
    ],
)
def test_what_is_wrong_is_told(
    damage: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    as_npz(tmp_path / "walk")
    damage(tmp_path / "walk")
    with pytest.raises(DataError, match=words):
        read_renders(tmp_path, frames=2, scale=2)


def test_too_few_frames_and_another_scale_are_told(tmp_path: Path) -> None:
    as_npz(tmp_path / "walk")
    with pytest.raises(DataError, match="has 4 frames: 9 are needed"):
        read_renders(tmp_path, frames=9, scale=2)
    with pytest.raises(DataError, match=r"reference of .* must be 24x24 \(task.scale is 1\)"):
        read_renders(tmp_path, frames=2, scale=1)
