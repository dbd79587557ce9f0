"""Case files on disk: what is known about every candidate, written so that nothing is half there.

    <study>/candidates/<name>/case.json        the evidence
    <study>/candidates/<name>/training.ckpt    where training goes on
    <study>/candidates/<name>/*.npz            trained weights, quantized weights and scales
"""

from __future__ import annotations

import io
import json
import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from nas.candidate import Candidate
from nas.durable import digest, read_checked, read_record, write_aside
from nas.evidence import OutsideFolder, require_plain
from nas.kinds import require_types
from search_spaces.graph import Graph
from search_spaces.quantize import Placement, QuantRules, Scales, place
from trainers.base import Damaged

SETTINGS, REPORT, IDENTITY = "settings.json", "report.html", ".identity"
"""What else lies in a study's folder: what was asked for, and what came of it."""
SETTINGS_REMEDY = (
    "give the command that the study was begun with once more after removing this file, or "
    "study.name=<another>"
)


def as_json(data: Any) -> str:
    """JSON of plain data, for people too.

    The standard has no numbers that are not finite: they are written as the words `inf`, `-inf`
    and `nan`, which `float` reads back.
    """
    return json.dumps(_finite(data), indent=1, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data


def identity_of(folder: Path) -> str:
    """What tells this study's folder from every other, wherever it is moved; made once."""
    path = folder / IDENTITY
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        write_aside(path, uuid.uuid4().hex.encode())
        return path.read_text().strip()


class Ledger:
    """The case files of one study."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "candidates"
        self._read: dict[Path, tuple[tuple[int, int], Candidate]] = {}

    def home(self, name: str) -> Path:
        """The folder of one candidate; made if it is not there.

        Raises:
            OutsideFolder: it would lie elsewhere.
        """
        require_plain("a candidate's name", name)
        home = self._folder / name
        home.mkdir(parents=True, exist_ok=True)
        return home

    def save(self, candidate: Candidate) -> None:
        """Write the case file."""
        text = as_json(candidate.to_json())
        write_aside(self.home(candidate.name) / "case.json", text.encode())

    def load(self, name: str) -> Candidate | None:
        """The case file of one candidate, or None.

        Raises:
            OutsideFolder: the file names another place.
            Damaged: the file is not what was written.
        """
        require_plain("a candidate's name", name)
        path = self._folder / name / "case.json"
        try:
            # A case file is never changed, only replaced.
            file = path.stat()
            version = (file.st_ino, file.st_mtime_ns)
            if path not in self._read or self._read[path][0] != version:
                remedy = f"remove the folder {path.parent}, and the search makes it again"
                candidate = read_record(path, _candidate, remedy=remedy)
                self._read[path] = (version, candidate)
        except FileNotFoundError:
            return None
        except Damaged as error:
            if isinstance(error.__cause__, OutsideFolder):
                raise OutsideFolder(f"{path}: {error.__cause__}") from error
            raise
        return self._read[path][1]

    def all(self) -> list[Candidate]:
        """Every candidate, in the order of their names."""
        if not self._folder.is_dir():
            return []
        found = (self.load(path.name) for path in sorted(self._folder.iterdir()))
        return [candidate for candidate in found if candidate is not None]


def _candidate(data: Any) -> Candidate:
    found = Candidate.from_json(data)
    for record in (found, *found.evidence.values()):
        require_types(record)
    return found


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write named arrays into one file, and return its sha256 for the evidence."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))
    content = buffer.getvalue()
    write_aside(path, content)
    return digest(content)


def load_arrays(path: Path, *, sha256: str = "") -> dict[str, NDArray[Any]]:
    """Read what `save_arrays` wrote.

    Args:
        sha256: what it returned; empty in evidence from before that was kept.

    Raises:
        Damaged: the file is missing, broken, or another one.
    """
    remedy = f"remove the folder {path.parent}, and the search makes it again"
    content = read_checked(path, sha256, remedy=remedy)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise Damaged(f"{path} is broken ({error}): {remedy}") from error


def pack_scales(scales: Scales) -> dict[str, NDArray[Any]]:
    """Scales as named arrays, to lie beside the weights."""
    tensors = {f"tensor_scale.{i}": np.float32(s) for i, s in scales.tensors.items()}
    zeros = {f"tensor_zero.{i}": np.int64(z) for i, z in scales.zero_points.items()}
    weights = {f"weight_scale.{i}": s for i, s in scales.weights.items()}
    return {key: np.asarray(value) for key, value in (tensors | zeros | weights).items()}


def unpack_scales(
    arrays: Mapping[str, NDArray[Any]], graph: Graph, rules: QuantRules
) -> tuple[dict[str, NDArray[Any]], Placement, Scales]:
    """Weights, placement and scales from one file; a layer without a scale was left in float.

    Raises:
        Damaged: it lacks the scale of a tensor, as one that was made for other rules does.
    """
    in_float = {i for i in place(graph, rules).layers if f"weight_scale.{i}" not in arrays}
    placement = place(graph, rules, keep_float=frozenset(in_float))
    lacking = [i for i in placement.tensors if f"tensor_scale.{i}" not in arrays]
    if lacking:
        raise Damaged(
            f"int8 weights without scales for {len(lacking)} of {len(placement.tensors)} tensors: "
            "they were made for another engine or by another version, quantize the network anew"
        )
    tensors = {i: float(arrays[f"tensor_scale.{i}"]) for i in placement.tensors}
    weights = {i: arrays[f"weight_scale.{i}"] for i in placement.layers}
    zeros = {i: int(arrays[key]) for i in tensors if (key := f"tensor_zero.{i}") in arrays}
    rest = {k: v for k, v in arrays.items() if not k.startswith(("tensor_", "weight_"))}
    return rest, placement, Scales(tensors, weights, zeros)
