"""What a bundle says of itself, held against what lies in its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from runtime.external import external_data

MANIFEST, RECEIPTS, ARCHITECTURE = "manifest.json", "latency.json", "architecture.json"
FORMAT = 2
"""Of bundles. The first had no number, no golden outputs and no card."""
PICTURE, RUNS = "picture", "runs"
"""Fields beside the hashes: `planes`, `margin` and `multiple` of `Reach`; `precision` of the file
that is fastest by its receipt, and `why` where that is another one than was asked for."""


class BadBundle(ValueError):
    """The folder is no bundle, or is not what was exported; the message says what to do."""


@dataclass(frozen=True)
class Manifest:
    """A bundle's own list of its files.

    Attributes:
        folder: of the bundle.
        format: that it was written in, at most `FORMAT`.
        hashes: the sha256 of every other file, by the file's name.
        picture: what a picture is to the network; empty where nothing is said.
        runs: the precision of the file to run; empty where nothing is said.
    """

    folder: Path
    format: int
    hashes: Mapping[str, str]
    picture: Mapping[str, Any]
    runs: str

    def read(self, name: str) -> bytes:
        """A file of the bundle, as it was exported.

        Raises:
            BadBundle: it is missing, another one, a link, or needs files beside it.
        """
        path = self.folder / name
        _refuse_link(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadBundle(f"{path} cannot be read ({error}): export it again") from error
        if hashlib.sha256(content).hexdigest() != self.hashes.get(name):
            raise BadBundle(f"{path} is not what was exported: export it again")
        if path.suffix == ".onnx":
            _refuse_parts(path, content)
        return content

    def json(self, name: str) -> dict[str, Any]:
        """The same, of a file that holds JSON.

        Raises:
            BadBundle: as `read`, or it holds something else.
        """
        try:
            found = json.loads(self.read(name))
        except ValueError as error:
            if isinstance(error, BadBundle):
                raise
            raise BadBundle(f"{self.folder / name} is no JSON: export it again") from error
        if not isinstance(found, dict):
            raise BadBundle(f"{self.folder / name} holds something else: export it again")
        return found


def read_manifest(folder: Path) -> Manifest:
    """What lies in a bundle's folder by its own account; no other file is read.

    Raises:
        BadBundle: it is no bundle, is of a later format, or names files elsewhere.
    """
    path = folder / MANIFEST
    _refuse_link(path)
    try:
        said = json.loads(path.read_text())
    except FileNotFoundError:
        raise BadBundle(f"{folder} has no {MANIFEST}: give the folder of a winner") from None
    except (OSError, ValueError) as error:
        raise BadBundle(f"{path} cannot be read ({error}): export it again") from error
    if not isinstance(said, dict):
        raise BadBundle(f"{path} is no manifest: export it again")
    number = said.get("format", 1)
    if type(number) is not int or number < 1:
        raise BadBundle(f"{path} is of format {number!r}, which is none: export it again")
    if number > FORMAT:
        raise BadBundle(
            f"{path} is of format {number}, and this version reads up to {FORMAT}: install a "
            "newer freeway-nas"
        )
    hashes = {name: sha256 for name, sha256 in said.items() if isinstance(sha256, str)}
    for name in hashes:
        if not _is_plain(name):
            raise BadBundle(f"{path} names {name}, which is outside of it: export it again")
    picture, runs = (said.get(field, {}) for field in (PICTURE, RUNS))
    if not (isinstance(picture, dict) and isinstance(runs, dict)):
        raise BadBundle(f"{path} is no manifest: export it again")
    return Manifest(folder, number, hashes, picture, str(runs.get("precision", "")))


def _is_plain(name: str) -> bool:
    """Whether it is the name of a file in the same folder, on any system."""
    plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
    return plain and name != ".." and "\0" not in name


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise BadBundle(
            f"{path} is a link, and a bundle holds its own files: copy the folder with what its "
            "links name (cp -rL)"
        )


def _refuse_parts(path: Path, onnx: bytes) -> None:
    """Refuse a file whose weights lie elsewhere: no hash holds them, and they may be anybody's."""
    try:
        elsewhere = external_data(onnx)
    except ValueError as error:
        raise BadBundle(f"{path} is no ONNX file ({error}): export it again") from error
    if elsewhere:
        raise BadBundle(
            f"{path} keeps weights in {elsewhere[0]}, outside of it: a bundle's files hold their "
            "own"
        )
