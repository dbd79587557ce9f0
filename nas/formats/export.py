"""A bundle, brought to where it is needed: copied whole, or as the files of a format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from nas.any_size import of_any_size
from nas.durable import write_aside, write_folder
from nas.formats import FORMATS, writer
from nas.formats.base import FloatPrecision, Source, Unwritable
from nas.kinds import meant
from nas.settings import SettingsError
from runtime.manifest import MANIFEST, BadBundle, read_manifest
from search_spaces.any_size import HoldsSize

Sizes = Literal["timed", "any"]


def export(
    bundle: str | Path,
    folder: str | Path,
    *,
    format: str | None = None,
    precision: FloatPrecision = "fp32",
    sizes: Sizes = "timed",
) -> Path:
    """Copy a bundle to where it is needed, whole and checked; or write it for a player.

    Args:
        bundle: a winner's folder, or that of `Trained`.
        folder: does not exist yet, or is empty; for a format it may hold other files.
        format: a name of `nas.formats.FORMATS`; None copies the bundle.
        precision: of a format's files, `fp32` or `fp16` where it has both.
        sizes: `any` leaves height and width open in the copy's files (docs/bundle.md).

    Returns:
        The folder; the first of the files where a format was named.

    Raises:
        SettingsError: it is no bundle, a file of it was changed, the folder is in use, or the
            network cannot be had in this format or at any size.
    """
    if sizes not in get_args(Sizes):
        raise SettingsError(f"sizes is '{sizes}': use {' or '.join(get_args(Sizes))}")
    if format is not None and sizes == "any":
        raise SettingsError("sizes is for a copy: a format's files run at any size as they are")
    try:
        if format is None:
            return _copied(Path(bundle), Path(folder), sizes)
        _, paths = in_format(Path(bundle), Path(folder), format, precision)
    except (BadBundle, Unwritable, HoldsSize) as error:
        raise SettingsError(str(error)) from error
    return paths[0]


def in_format(
    bundle: Path, folder: Path, format: str, precision: FloatPrecision
) -> tuple[Source, list[Path]]:
    """Write the files of a format, each whole or not at all.

    Raises:
        BadBundle: it is no bundle, or a file of it was changed.
        Unwritable: the network cannot be had in it.
        SettingsError: there is no such format, or another file has the name of one of these.
    """
    if format not in FORMATS:
        close = meant(format, list(FORMATS))
        raise SettingsError(f"there is no format '{format}'{close}: use {', '.join(FORMATS)}")
    from nas.formats.source import read_source

    source = read_source(bundle)
    files = writer(format)(source, precision)
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file: name a folder")
    paths = {folder / name: content for name, content in files.items()}
    for path, content in paths.items():
        if path.is_dir() or (path.exists() and path.read_bytes() != content):
            raise SettingsError(f"{path} is something else: remove it, or name another folder")
    for path, content in paths.items():
        write_aside(path, content)
    return source, list(paths)


def _copied(source: Path, to: Path, sizes: Sizes) -> Path:
    manifest = read_manifest(source)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise SettingsError(f"{to} is in use: give a folder that does not exist yet")
    contents = {name: manifest.read(name) for name in manifest.hashes}
    contents |= {MANIFEST: (source / MANIFEST).read_bytes()}
    if sizes == "any":
        contents = of_any_size(manifest)
    to.parent.mkdir(parents=True, exist_ok=True)
    if to.is_dir():
        to.rmdir()
    write_folder(to, contents)
    return to
