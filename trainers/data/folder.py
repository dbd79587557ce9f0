"""A user's folder of images, decoded once into a cache; what cannot be used is named."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.base import DataError
from trainers.data.decode import SUFFIXES, BrokenImage, decode, has_sixteen_bits, is_image
from trainers.data.decoded_cache import MAX_GIB, Decoded, DecodedCache, decoded_once, state_of
from trainers.data.files import Skipped, files_under, name_in, printable
from trainers.data.photo import Photo

_NAMED = 5
_DECODERS = 2


@dataclass(frozen=True)
class Folder:
    """What a folder held.

    Attributes:
        grey: how many of the photographs were grey and had their channel repeated.
    """

    root: Path
    photos: tuple[Photo, ...]
    skipped: tuple[Skipped, ...]
    grey: int

    def notice(self) -> str | None:
        """One line on everything out of the ordinary, or None."""
        parts = []
        if self.skipped:
            total = len(self.skipped) + len(self.photos)
            parts.append(f"skipped {len(self.skipped)} of {total} files: {_named(self.skipped)}")
        if self.grey:
            parts.append(f"{self.grey} grey images had their channel repeated to RGB")
        return f"{printable(self.root)}: {'; '.join(parts)}" if parts else None


def _named(skipped: Sequence[Skipped]) -> str:
    named = [f"{s.name} ({s.reason})" for s in skipped[:_NAMED]]
    if len(skipped) > _NAMED:
        named.append(f"and {len(skipped) - _NAMED} more")
    return ", ".join(named)


def decoded(files: Sequence[Path], root: Path) -> Iterator[Decoded | Skipped]:
    """Decode files in their order, a few ahead in threads (decoders let go of Python's lock)."""

    def one(path: Path) -> Decoded | Skipped:
        name = name_in(root, path)
        try:
            return Decoded(name, *decode(path))
        except BrokenImage as error:
            return Skipped(name, str(error))

    yield from _in_order(one, files)


def _in_order(
    work: Callable[[Path], Decoded | Skipped], files: Iterable[Path]
) -> Iterator[Decoded | Skipped]:
    """What `work` makes of each file, with no more pictures in memory than there are threads."""
    with warnings.catch_warnings(), ThreadPoolExecutor(_DECODERS) as pool:
        # Pillow warns of metadata that nobody asked for; what matters is raised.
        warnings.simplefilter("ignore")
        ahead: deque[Future[Decoded | Skipped]] = deque()
        for path in files:
            ahead.append(pool.submit(work, path))
            if len(ahead) > _DECODERS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def any_deep(files: Sequence[Path]) -> bool:
    """Whether one of the files has 16 bits per channel; files without a header do not count."""
    for path in files:
        try:
            if has_sixteen_bits(path):
                return True
        except BrokenImage:
            continue
    return False


def open_decoded(
    files: Sequence[Path], root: Path, *, kind: str, max_gib: float, home: Path | None
) -> DecodedCache:
    """The decoded pictures of some files of a folder."""
    return decoded_once(
        lambda: decoded(files, root),
        root=root,
        kind=kind,
        state=state_of(files, root),
        deep=lambda: any_deep(files),
        max_gib=max_gib,
        home=home,
    )


def refuse_broken(root: Path, broken: Sequence[Skipped], *, skip_broken: bool) -> None:
    """Stop at files that should be images and cannot be read, unless they are to be skipped.

    Raises:
        DataError: names them.
    """
    if broken and not skip_broken:
        raise DataError(
            f"{printable(root)}: {len(broken)} broken {'file' if len(broken) == 1 else 'files'}: "
            f"{_named(broken)}: repair or remove, or set skip_broken=true to do without"
        )


def read_folder(
    root: Path,
    *,
    smallest: int,
    max_gib: float = MAX_GIB,
    skip_broken: bool = False,
    home: Path | None = None,
) -> Folder:
    """Every usable image under a folder, subfolders included, in the order of their paths.

    The first time the images are decoded into a cache, from then on they are mapped from there,
    until a file is added, removed or changed. If one image has 16 bits per channel, all are kept
    with 16. Links are followed; one that leads nowhere counts as a broken file. Files and folders
    whose name starts with a dot are not looked at; files that are no images, and images that are
    too small, are left out and told.

    Args:
        root: the folder.
        smallest: pixels that both sides of an image must have.
        max_gib: disk space that the decoded images may take.
        skip_broken: leave broken files out too, and tell.
        home: where caches are kept; in the user's cache when None.

    Raises:
        DataError: the folder is missing or empty, holds no usable image or a broken one, or the
            cache cannot be written or would be too large.
    """
    files = files_under(root, f"images ({', '.join(SUFFIXES)})")
    images = [path for path in files.paths if is_image(path)]
    strangers = [Skipped(name_in(root, path), "not an image") for path in files.paths
                 if not is_image(path)]  # fmt: skip
    cache = open_decoded(images, root, kind="photos", max_gib=max_gib, home=home)
    broken = sorted([*cache.broken, *files.lost], key=lambda s: s.name)
    refuse_broken(root, broken, skip_broken=skip_broken)
    photos, grey, small = [], 0, []
    for photo, is_grey in zip(cache.photos, cache.grey, strict=True):
        height, width, _ = photo.stored.shape
        if min(height, width) < smallest:
            reason = f"{width}x{height} is smaller than {smallest}x{smallest}"
            small.append(Skipped(photo.name, reason))
        else:
            photos.append(photo)
            grey += is_grey
    skipped = sorted([*strangers, *broken, *small], key=lambda s: s.name)
    found = Folder(root, tuple(photos), tuple(skipped), grey)
    if not photos:
        raise DataError(f"no usable image: {found.notice()}")
    return found


def split(
    photos: Sequence[Photo], *, seed: int, share: float = 0.1, most: int = 10
) -> tuple[list[Photo], list[Photo]]:
    """Divide photographs into training and validation, image by image.

    Args:
        photos: at least two.
        seed: which ones are drawn.
        share: of them that go to validation, at least one.
        most: validation images at most, since each is run whole at every evaluation.

    Raises:
        DataError: there is only one.
    """
    if len(photos) < 2:
        raise DataError(
            f"{len(photos)} usable image is too few to keep one for validation: "
            "add images, or name a validation folder"
        )
    count = min(most, max(1, round(share * len(photos))))
    drawn = set(np.random.default_rng(seed).permutation(len(photos))[:count].tolist())
    train = [photo for k, photo in enumerate(photos) if k not in drawn]
    return train, [photos[k] for k in sorted(drawn)]
