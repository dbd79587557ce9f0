"""What pictures a task is made of, so short that it can be kept and compared."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from trainers.base import Digests, Example, Pixels
from trainers.data.pairs import Pair
from trainers.data.photo import Photo, to_eight_bits

_PROBES = 16
_BYTES = 8


def of_judged(photos: Iterable[Photo], pairs: Iterable[Pair]) -> Digests:
    """The name of each picture to judge by, and a digest of all its pixels in 8 bits.

    Taken from what was read: made inputs follow from it and from the settings, but not to the
    last bit on every processor.

    Args:
        photos: pictures whose inputs the task makes; left out where there are pairs.
        pairs: given inputs and targets.
    """
    given = tuple((pair.high.name, digest(pair.low.pixels, pair.high.pixels)) for pair in pairs)
    return given or tuple((photo.name, digest(photo.pixels)) for photo in photos)


def of_trained(photos: Iterable[Photo]) -> Digests:
    """The name of each picture, and a digest of a few of its rows: it is not read as a whole."""
    return tuple((photo.name, probe(photo)) for photo in photos)


def of_examples(examples: Iterable[Example]) -> Digests:
    """The same of a task that tells nothing but its validation pictures."""
    return tuple((example.name, digest(example.low, example.high)) for example in examples)


def probe(photo: Photo) -> str:
    """The size and a digest of a few whole rows: enough to know a picture again."""
    height, width = photo.stored.shape[:2]
    rows = to_eight_bits(photo.stored[:: max(1, height // _PROBES)])
    return f"{width}x{height}-{digest(rows)}"


def digest(*pictures: Pixels) -> str:
    """Sixteen letters that differ for any two sets of pictures."""
    found = blake2b(digest_size=_BYTES)
    for pixels in pictures:
        found.update(str(pixels.shape).encode())
        found.update(pixels.tobytes())
    return found.hexdigest()
