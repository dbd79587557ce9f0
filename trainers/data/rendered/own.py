"""Clips that another renderer has made: folders of frames with the names of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.base import DataError
from trainers.data.clips import natural
from trainers.data.decode import BrokenImage, decode, is_image
from trainers.data.files import files_under, name_in, printable
from trainers.data.rendered.clips import ARRAYS, EXTRAS, RenderedClip, clip_of
from trainers.data.rendered.looks import tone_map

_CHANNELS = {"depth": 1, "motion": 2, "jitter": 2, "reference_motion": 2}
_PICTURES = ("colour", "reference", "albedo")
_NEEDED = ("colour", "depth", "motion", "jitter", "reference")
_JITTER = "jitter.txt"
_WHAT = "folders of frames (.npz, or folders colour, depth, motion, reference and jitter.txt)"
_WHITE = 255


def read_renders(root: Path, *, frames: int, scale: int) -> tuple[RenderedClip, ...]:
    """Every clip under a folder.

    A clip is a folder of `.npz` files, one a frame, with the arrays by name as (h, w, channels);
    or it has a folder for each name with a picture or `.exr` a frame, and `jitter.txt` with two
    numbers a line. Numbers of 8 bits are pictures as they are shown; floats are linear light and
    are tone-mapped here, depth, motion and normals apart.

    Args:
        frames: that a clip must have at least.
        scale: size of the reference over that of the colour.

    Raises:
        DataError: the folder is missing or empty, a clip lacks something, is broken or of another
            size, or OpenEXR is missing where there are such files.
    """
    found = files_under(root, _WHAT).paths
    homes = {path.parent for path in found if path.suffix == ".npz"}
    homes |= {path.parent.parent for path in found if path.parent.name == "colour"}
    if not homes:
        raise DataError(f"no clip in {printable(root)}: put {_WHAT} into it")
    return tuple(
        _clip(name_in(root, home) if home != root else home.name, home, frames, scale)
        for home in sorted(homes)
    )


def _clip(name: str, home: Path, frames: int, scale: int) -> RenderedClip:
    packed = _in_order(home.glob("*.npz"))
    read = [_of_npz(path) for path in packed] if packed else _of_folders(home)
    if len(read) < frames:
        raise DataError(f"{printable(home)} has {len(read)} frames: {frames} are needed")
    for number, frame in enumerate(read):
        lacking = [key for key in _NEEDED if key not in frame]
        if lacking:
            raise DataError(
                f"frame {number} of {printable(home)} has no {lacking[0]}: every frame needs "
                f"{', '.join(_NEEDED)}"
            )
    try:
        arrays = {
            key: np.stack([_shaped(key, frame[key]) for frame in read])
            for key in (*ARRAYS, *EXTRAS) if all(key in frame for frame in read)
        }
    except ValueError as error:
        raise DataError(f"frames of {printable(home)} differ in size ({error})") from error
    if "reference_motion" not in arrays:
        arrays["reference_motion"] = (
            arrays["motion"].repeat(scale, axis=2).repeat(scale, axis=3) * np.float16(scale)
        )
    _check_sizes(home, arrays, scale)
    return clip_of(name, arrays)


def _of_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            return {key: file[key] for key in file.files}
    except (BadZipFile, ValueError, OSError, EOFError) as error:
        raise DataError(f"{printable(path)} cannot be read ({error}): write it again") from error


def _of_folders(home: Path) -> list[dict[str, NDArray[np.generic]]]:
    """The frames of a clip that has a folder for each array."""
    frames: list[dict[str, NDArray[np.generic]]] = []
    for key in (*ARRAYS, *EXTRAS):
        for number, path in enumerate(_in_order((home / key).glob("*"))):
            frames += [{}] if number == len(frames) else []
            frames[number][key] = _reader_of(path)(path)
    if (home / _JITTER).is_file():
        try:
            offsets = np.loadtxt(home / _JITTER, dtype=np.float32, ndmin=2)
        except ValueError as error:
            raise DataError(f"{home / _JITTER}: give two numbers a line ({error})") from error
        for frame, offset in zip(frames, offsets, strict=False):
            frame["jitter"] = offset
    return frames


def _in_order(paths: Iterable[Path]) -> list[Path]:
    found = [path for path in paths if not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural(path.name))


def _reader_of(path: Path) -> Callable[[Path], NDArray[np.generic]]:
    if path.suffix.lower() == ".exr":
        return _of_exr
    if path.suffix == ".npy":
        return np.load
    if not is_image(path):
        raise DataError(f"{printable(path)}: frames are pictures, .exr or .npy files")
    return _of_picture


def _of_picture(path: Path) -> NDArray[np.generic]:
    try:
        levels, _ = decode(path)
    except BrokenImage as error:
        raise DataError(f"{printable(path)} is broken ({error})") from error
    if levels.dtype != np.uint8:
        return (levels / 257).round().astype(np.uint8)
    return levels


def _of_exr(path: Path) -> NDArray[np.generic]:
    """All channels of an EXR file, those of one letter joined in the order of x, y, z."""
    try:
        import OpenEXR
    except ImportError as error:
        raise DataError(
            f"{printable(path)}: reading EXR needs OpenEXR, pip install 'freeway-nas[renders]'; "
            "or write .npz frames"
        ) from error
    try:
        with OpenEXR.File(str(path)) as file:
            planes: dict[str, NDArray[np.generic]] = {
                name: channel.pixels for name, channel in file.channels().items()
            }
    except (RuntimeError, OSError) as error:
        raise DataError(f"{printable(path)} is broken ({error})") from error
    parts = [p if p.ndim == 3 else p[..., None] for _, p in sorted(planes.items(), key=_axis)]
    return np.concatenate(parts, axis=2)


def _axis(entry: tuple[str, object]) -> tuple[int, str]:
    order = ("R", "G", "B", "X", "Y", "Z")
    letter = entry[0].rpartition(".")[2].upper()
    return (order.index(letter) if letter in order else len(order), entry[0])


def _shaped(key: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """One array of a frame as a clip has it, (C, h, w); (2,) for the jitter."""
    if key == "jitter":
        return np.asarray(values, np.float32).reshape(2)
    if values.ndim == 2:
        values = values[..., None]
    channels = _CHANNELS.get(key, 3)
    if values.shape[2] < channels:
        raise DataError(f"{key} has {values.shape[2]} channels: {channels} are needed")
    made = np.ascontiguousarray(values[..., :channels].transpose(2, 0, 1))
    if key == "normal":
        return made if made.dtype == np.int8 else (made * 127).round().astype(np.int8)
    if key not in _PICTURES:
        return made.astype(np.float16)
    if made.dtype == np.uint8:
        return made
    light = torch.from_numpy(made.astype(np.float32))
    shown = light.clamp(0, 1) if key == "albedo" else tone_map(light)
    levels: NDArray[np.uint8] = (shown * _WHITE).round().to(torch.uint8).numpy()
    return levels


def _check_sizes(home: Path, arrays: dict[str, NDArray[np.generic]], scale: int) -> None:
    """Refuse arrays that do not belong together.

    Raises:
        DataError: says which.
    """
    height, width = arrays["colour"].shape[2:]
    for key, values in arrays.items():
        if key == "jitter":
            continue
        times = scale if key.startswith("reference") else 1
        wanted = (height * times, width * times)
        if values.shape[2:] != wanted:
            raise DataError(
                f"{key} of {printable(home)} is {values.shape[3]}x{values.shape[2]}, and beside "
                f"colours of {width}x{height} it must be {wanted[1]}x{wanted[0]} (task.scale is "
                f"{scale})"
            )
