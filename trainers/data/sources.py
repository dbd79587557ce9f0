"""Where a task's photographs come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.base import DataError, Digests
from trainers.data import bundled
from trainers.data.decoded_cache import MAX_GIB
from trainers.data.fingerprint import of_judged, of_trained, probe
from trainers.data.folder import read_folder, split
from trainers.data.pairs import Pair, read_pairs
from trainers.data.photo import Photo

BUNDLED = "bundled"


@dataclass(frozen=True)
class Sources:
    """Two sets of photographs.

    Attributes:
        train: `bundled`, or a folder of images.
        val: the same; None for the bundled split, or a tenth of the training folder.
        train_low: folder with the inputs that belong to the images of `train`; None where the task
            makes them itself.
        val_low: the same for `val`.
        max_gib: disk space that each folder may take decoded.
        skip_broken: leave files that cannot be decoded out; otherwise they are refused.
        home: where decoded folders are kept; in the user's cache when None.
    """

    train: str = BUNDLED
    val: str | None = None
    train_low: str | None = None
    val_low: str | None = None
    max_gib: float = MAX_GIB
    skip_broken: bool = False
    home: str | None = None


@dataclass(frozen=True)
class Photos:
    """What the sources held.

    Attributes:
        train: photographs to train on, none of which is used to judge.
        val: photographs to judge by.
        train_pairs: given inputs and targets to train on; empty if there are none.
        val_pairs: the same to judge by.
        judged_by: what is judged by, short enough to be kept and compared.
        trained_on: the same of what is trained on.
        notices: what the reader should know, a line each.
    """

    train: tuple[Photo, ...]
    val: tuple[Photo, ...]
    train_pairs: tuple[Pair, ...]
    val_pairs: tuple[Pair, ...]
    judged_by: Digests
    trained_on: Digests
    notices: tuple[str, ...]


def read_sources(sources: Sources, *, smallest: int, scale: int, seed: int) -> Photos:
    """Read the photographs.

    Args:
        sources: where they are.
        smallest: pixels that both sides of a photograph must have.
        scale: of a target over its input, where inputs are given.
        seed: of the split of one folder into two.

    Raises:
        DataError: a folder is missing, empty, without a usable image or too large, an image is
            broken, pairs do not fit together, or nothing is left to train on.
    """
    _check(sources)
    notices: list[str] = []
    read = _Reader(sources, smallest, scale, notices)
    train_pairs: list[Pair] = []
    val_pairs: list[Pair] = []
    if sources.train == BUNDLED:
        train = bundled.training_photos()
    else:
        train, train_pairs = read.photos(sources.train, sources.train_low)
    if sources.val is None and sources.train != BUNDLED:
        train, val = split(train, seed=seed)
    elif sources.val is None or sources.val == BUNDLED:
        val = bundled.validation_photos()
    else:
        val, val_pairs = read.photos(sources.val, sources.val_low)
    kept = _not_in(train, val, sources, notices)
    left = set(map(id, kept))
    pairs = tuple(pair for pair in train_pairs if id(pair.high) in left)
    return Photos(
        tuple(kept),
        tuple(val),
        pairs,
        tuple(val_pairs),
        of_judged(val, val_pairs),
        of_trained(_all_of(kept, pairs)),
        tuple(notices),
    )


def _all_of(photos: Sequence[Photo], pairs: Sequence[Pair]) -> list[Photo]:
    """Every picture that is trained on, given inputs among them."""
    return [*photos, *(pair.low for pair in pairs)]


def _check(sources: Sources) -> None:
    for which, high, low in (
        ("train", sources.train, sources.train_low),
        ("val", sources.val, sources.val_low),
    ):
        if low is not None and high in (None, BUNDLED):
            raise DataError(f"{which}_low is {low}: name the folder of its targets with {which}")
    if sources.train_low is not None and sources.val is None:
        raise DataError(
            "train_low is set: name a validation folder with val, given pairs are not split"
        )


def _not_in(
    train: list[Photo], val: list[Photo], sources: Sources, notices: list[str]
) -> list[Photo]:
    """Training photographs that are not among those to judge by."""
    seen = {probe(photo) for photo in val}
    kept = [photo for photo in train if probe(photo) not in seen]
    if len(kept) < len(train):
        notices.append(
            f"{len(train) - len(kept)} training images are also validation images "
            "and were left out of training"
        )
    if not kept:
        raise DataError(
            f"every image in {sources.train} is also a validation image: name other folders"
        )
    return kept


@dataclass(frozen=True)
class _Reader:
    sources: Sources
    smallest: int
    scale: int
    notices: list[str]

    def photos(self, name: str, low: str | None) -> tuple[list[Photo], list[Pair]]:
        """The photographs of one source; where inputs are given, also the pairs."""
        high_photos = self._folder(name, self.smallest)
        if low is None:
            return high_photos, []
        low_photos = self._folder(low, -(-self.smallest // self.scale))
        pairs = read_pairs(low_photos, high_photos, scale=self.scale, low=low, high=name)
        return [pair.high for pair in pairs], pairs

    def _folder(self, name: str, smallest: int) -> list[Photo]:
        found = read_folder(
            Path(name).expanduser(),
            smallest=smallest,
            max_gib=self.sources.max_gib,
            skip_broken=self.sources.skip_broken,
            home=None if self.sources.home is None else Path(self.sources.home).expanduser(),
        )
        notice = found.notice()
        if notice is not None:
            self.notices.append(notice)
        return list(found.photos)

