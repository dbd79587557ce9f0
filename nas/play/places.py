"""What is read and where what is made goes, told by what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.play.base import Unplayable
from nas.play.pictures import SUFFIXES, format_of
from nas.play.video import VIDEO_SUFFIXES, WEBCAM, kind_of
from trainers.base import DataError
from trainers.data.files import files_under, printable


@dataclass(frozen=True)
class Pictures:
    """Pictures, each with the file that it becomes.

    Attributes:
        there: those of the files that are there already, and stay.
    """

    pairs: tuple[tuple[Path, Path], ...]
    there: frozenset[Path] = frozenset()

    def to_read(self, *, from_the_first: bool) -> tuple[tuple[Path, Path], ...]:
        """What has to be read to make what is not there.

        Args:
            from_the_first: whether a network has to have seen all that came before.
        """
        missing = [k for k, (_, made) in enumerate(self.pairs) if made not in self.there]
        if from_the_first:
            return self.pairs[: max(missing, default=-1) + 1]
        return tuple(self.pairs[k] for k in missing)


@dataclass(frozen=True)
class Video:
    """A video or `webcam`, and the file that it becomes; None where nothing is written."""

    source: str
    to: Path | None


def places(what: str, to: str | None, *, force: bool) -> Pictures | Video:
    """What to do.

    Args:
        what: a picture, a folder of pictures, a video, or `webcam`.
        to: a file or a folder; None where a video is only played.
        force: whether files that are there may be replaced.

    Raises:
        Unplayable: says what is wrong with either.
    """
    source = Path(what).expanduser()
    if what == WEBCAM or (source.is_file() and source.suffix.lower() in VIDEO_SUFFIXES):
        return Video(what if what == WEBCAM else str(source), _video(source, to, force))
    if to is None:
        raise Unplayable("give OUT, a file or a folder for what is made")
    if source.is_dir():
        return _folder(source, Path(to).expanduser(), force)
    if not source.exists():
        raise Unplayable(f"there is no {printable(source)}: name a picture, a folder of pictures, "
                         f"a video or `{WEBCAM}`")  # fmt: skip
    if source.suffix.lower() not in SUFFIXES:
        known = ", ".join((*SUFFIXES, *VIDEO_SUFFIXES))
        raise Unplayable(f"{printable(source)} is neither a picture nor a video by its name: "
                         f"those end in {known}")  # fmt: skip
    made = _named(source, Path(to).expanduser())
    format_of(made)
    return Pictures(((source, _free(made, force)),))


def _video(source: Path, to: str | None, force: bool) -> Path | None:
    if to is None:
        return None
    made = _named(source, Path(to).expanduser())
    kind_of(made)
    return _free(made, force)


def _folder(source: Path, to: Path, force: bool) -> Pictures:
    if to.suffix and not to.is_dir():
        raise Unplayable(f"{printable(source)} is a folder, so OUT has to be one: "
                         f"{printable(to)} is the name of a file")  # fmt: skip
    if to.resolve().is_relative_to(source.resolve()):
        raise Unplayable(f"{printable(to)} lies in {printable(source)}, which is read: name a "
                         "folder outside of it")  # fmt: skip
    try:
        files = files_under(source, "pictures").paths
    except DataError as error:
        raise Unplayable(str(error)) from error
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not found:
        raise Unplayable(f"{printable(source)} holds no pictures: they end in "
                         f"{', '.join(SUFFIXES)}")  # fmt: skip
    pairs = tuple((path, to / path.relative_to(source)) for path in found)
    return Pictures(pairs, frozenset(made for _, made in pairs if made.exists() and not force))


def _named(source: Path, to: Path) -> Path:
    """The file: OUT itself, or in the folder that it is, or would be by its name."""
    return to / source.name if to.is_dir() or not to.suffix else to


def _free(path: Path, force: bool) -> Path:
    if path.is_dir():
        raise Unplayable(f"{printable(path)} is a folder: name a file")
    if path.exists() and not force:
        raise Unplayable(f"{printable(path)} is there already: --force replaces it")
    return path
