"""Decoded pictures on disk, mapped into memory: each file is decoded once, whoever asks.

A cache is a folder with `pixels.bin`, all pictures end to end, and `index.json`, which says where
each one begins. It belongs to one state of its source files (their names, sizes and times of
change). Any number of processes may ask for the same cache: one builds it aside and renames it
into place, the others wait. Mapped pixels are not read before they are used, and the system may
drop them again, so a folder larger than the memory does no harm.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from trainers.base import DataError
from trainers.data.files import Skipped, printable
from trainers.data.photo import Levels, Photo, to_sixteen_bits

MAX_GIB = 64.0
_FORMAT = 2
"""Also of how files are decoded: 2 turns deep PNGs and calls files by printable names."""
_PIXELS, _INDEX, _SOURCE = "pixels.bin", "index.json", "source.txt"
_CHANNELS = 3


@dataclass(frozen=True, eq=False)
class Decoded:
    """One picture on its way to the cache.

    Attributes:
        levels: (H, W, 3).
        grey: whether its three channels repeat one.
    """

    name: str
    levels: Levels
    grey: bool = False


@dataclass(frozen=True, eq=False)
class DecodedCache:
    """Decoded pictures.

    Attributes:
        pixels: (P, 3), all pictures end to end, rows of each from top to bottom.
        photos: views of it, in the order of their sources.
        grey: for each photo, whether the file was grey.
        broken: files that could not be decoded.
    """

    pixels: Levels
    photos: tuple[Photo, ...]
    grey: tuple[bool, ...]
    broken: tuple[Skipped, ...]


def default_home() -> Path:
    """`$XDG_CACHE_HOME/freeway/pictures`, or `~/.cache/freeway/pictures`.

    Raises:
        DataError: there is no home folder.
    """
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(root) if root else Path.home() / ".cache") / "freeway" / "pictures"
    except RuntimeError as error:
        raise DataError(
            "there is no home folder to keep decoded pictures in: set XDG_CACHE_HOME to a folder"
        ) from error


def state_of(files: Sequence[Path], root: Path, *settings: str) -> str:
    """A key that changes with the list of files, their sizes, their times of change, or how."""
    rows = [(str(f.relative_to(root)), (s := f.stat()).st_size, s.st_mtime_ns) for f in files]
    text = json.dumps([_FORMAT, *settings, rows])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def decoded_once(
    produce: Callable[[], Iterable[Decoded | Skipped]],
    *,
    root: Path,
    kind: str,
    state: str,
    deep: Callable[[], bool],
    max_gib: float = MAX_GIB,
    home: Path | None = None,
) -> DecodedCache:
    """The cache of a folder in its present state; built if there is none, replaced if outdated.

    Args:
        produce: decodes the pictures, one after the other; like `deep` called only to build.
        root: the folder that they come from.
        kind: what is made of it (`photos`, `clips`); one cache is kept of each.
        state: from `state_of`.
        deep: whether to keep 16 bits per channel, for all pictures alike.
        max_gib: disk space that the cache may take.
        home: where caches are kept; `default_home()` when None.

    Raises:
        DataError: the cache cannot be written or would be larger than `max_gib`.
    """
    source = hashlib.sha256(os.fsencode(f"{kind}:{root.resolve()}")).hexdigest()[:16]
    place = (default_home() if home is None else home) / f"{kind}-{source}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        found = _open(place / state)
        if found is None:
            _forget_vanished(place.parent)
            (place / _SOURCE).write_bytes(os.fsencode(root.resolve()))
        while found is None:
            with only_one(place):
                if not (place / state).exists():
                    dtype = np.dtype(np.uint16 if deep() else np.uint8)
                    if not _build(produce(), place, state, dtype, max_gib):
                        raise DataError(
                            f"the decoded pictures of {printable(root)} take more than "
                            f"{max_gib:g} GiB of disk: name a folder with fewer or smaller "
                            "ones, or raise max_gib"
                        )
            found = _open(place / state)
    except OSError as error:
        raise DataError(
            f"the decoded pictures of {printable(root)} cannot be kept in {place} ({error}): "
            "make room, or set XDG_CACHE_HOME to a folder with more"
        ) from error
    return found


def _forget_vanished(home: Path) -> None:
    """Remove the caches of folders that are no more."""
    for source in home.glob(f"*/{_SOURCE}"):
        if not Path(os.fsdecode(source.read_bytes())).exists():
            shutil.rmtree(source.parent, ignore_errors=True)


@contextmanager
def only_one(place: Path) -> Iterator[None]:
    """Wait until no other process builds here. The lock of a killed process is free at once."""
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(
    pictures: Iterable[Decoded | Skipped],
    place: Path,
    state: str,
    dtype: np.dtype[np.generic],
    max_gib: float,
) -> bool:
    """Write a cache aside, rename it into place and remove outdated ones; False if too large."""
    for left_over in place.glob("*.part"):
        shutil.rmtree(left_over)
    aside = place / f"{state}.part"
    aside.mkdir()
    entries, broken, rows = [], [], 0
    with (aside / _PIXELS).open("wb") as file:
        for picture in pictures:
            if isinstance(picture, Skipped):
                broken.append(asdict(picture))
                continue
            height, width, _ = picture.levels.shape
            levels = picture.levels if dtype == np.uint8 else to_sixteen_bits(picture.levels)
            file.write(np.ascontiguousarray(levels).data)
            entries.append([picture.name, height, width, rows, picture.grey])
            rows += height * width
            if rows * _CHANNELS * dtype.itemsize > max_gib * 2**30:
                shutil.rmtree(aside)
                return False
    index = {"dtype": dtype.name, "rows": rows, "pictures": entries, "broken": broken}
    (aside / _INDEX).write_text(json.dumps(index))
    outdated = [p for p in place.iterdir() if p.is_dir() and p != aside]
    aside.rename(place / state)
    for cache in outdated:
        # Who has one mapped keeps it: the system frees the disk when the last one lets go.
        shutil.rmtree(cache, ignore_errors=True)
    return True


def _open(folder: Path) -> DecodedCache | None:
    """Map a cache; None where there is none, or no more."""
    try:
        index = json.loads((folder / _INDEX).read_text())
        shape, dtype = (index["rows"], _CHANNELS), np.dtype(index["dtype"])
        if not index["rows"]:
            pixels = np.zeros(shape, dtype)
        else:
            # Copy on write: nothing writes, and torch warns about arrays that are read-only.
            pixels = np.memmap(folder / _PIXELS, dtype=dtype, mode="c", shape=shape)
        photos = tuple(
            Photo(name, pixels[start : start + h * w].reshape(h, w, _CHANNELS), pixels, start)
            for name, h, w, start, _ in index["pictures"]
        )
        grey = tuple(bool(entry[4]) for entry in index["pictures"])
        return DecodedCache(pixels, photos, grey, tuple(Skipped(**b) for b in index["broken"]))
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError):
        # Torn by something that is not this program: build it again.
        shutil.rmtree(folder, ignore_errors=True)
        return None
