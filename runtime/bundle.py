"""A bundle on disk: checked, and loaded into an engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.engines import ENGINES, Run, compiled
from runtime.pictures import Floats, Pixels, as_input, as_pixels

MANIFEST, RECEIPTS, ARCHITECTURE = "manifest.json", "latency.json", "architecture.json"
_LOSSES = ("int8", "fp16", "fp32")
"""Precisions from the one that is shipped for its speed to the one that every bundle has."""


class BadBundle(ValueError):
    """The folder is no bundle, or is not what was exported; the message says what to do."""


class Loaded:
    """A network that is ready to run; call it with a picture.

    Attributes:
        folder: of the bundle.
        precision: of the file that runs.
        engine: what runs it.
        channels: of its input.
        receipt: what was measured when it was exported, as JSON; `median_ms` at `input_shape`.
    """

    def __init__(
        self,
        folder: Path,
        onnx: bytes,
        *,
        precision: str,
        engine: str,
        channels: int,
        receipt: Mapping[str, Any],
        threads: int,
    ) -> None:
        """Keep the file; it is compiled for a picture's size when the first of that size comes."""
        self.folder, self.precision, self.engine = folder, precision, engine
        self.channels, self.receipt = channels, receipt
        self._onnx, self._threads = onnx, threads
        self._compiled: dict[tuple[int, ...], Run] = {}

    def __call__(self, picture: Pixels) -> Pixels:
        """(h, w, C) of uint8 -> (H, W, C) of uint8; a grey picture may be (h, w).

        Raises:
            ValueError: another type or number of channels, or a size that the engine cannot run.
            FloatingPointError: the output has values that are not finite.
        """
        image = np.asarray(picture)
        if image.dtype != np.uint8:
            raise ValueError(
                f"the picture is {image.dtype}: give uint8, or numbers in [0, 1] of shape "
                "(1, C, h, w) to `run`"
            )
        grey = image.ndim == 2
        image = image[:, :, None] if grey else image
        if image.ndim != 3 or image.shape[2] != self.channels:
            shape = "x".join(map(str, image.shape))
            raise ValueError(
                f"the picture is {shape}: this network takes (h, w, {self.channels})"
            )
        output = as_pixels(self.run(as_input(image)))
        return output[:, :, 0] if grey else output

    def run(self, values: NDArray[np.floating]) -> Floats:
        """(1, C, h, w) in [0, 1] -> (1, C, H, W); nothing is clipped or rounded.

        Raises:
            ValueError: a size that the engine cannot run.
        """
        image = np.ascontiguousarray(values, np.float32)
        if image.shape not in self._compiled:
            self._compiled[image.shape] = compiled(
                self.engine, self._onnx, image.shape, self._threads
            )
        return self._compiled[image.shape](image)


def load(
    folder: str | Path,
    *,
    precision: str | None = None,
    engine: str | None = None,
    threads: int = 1,
) -> Loaded:
    """Load a winner's folder.

    Args:
        precision: of the bundle's files; the fastest that it ships when None.
        engine: `openvino` or `onnxruntime`; the one that it was timed on when None, and never
            another one in its place.
        threads: of the engine.

    Raises:
        BadBundle: it is no bundle, or a file is not what was exported.
        ValueError: it has no such precision, or was timed on an engine that cannot run here.
    """
    folder = Path(folder)
    hashes = _json(folder, MANIFEST)
    files = {p: f"{p}.onnx" for p in _LOSSES if f"{p}.onnx" in hashes}
    if not files:
        raise BadBundle(f"{folder} names no ONNX file in {MANIFEST}: export it again")
    if precision is None:
        precision = next(iter(files))
    if precision not in files:
        raise ValueError(f"precision is '{precision}': {folder} ships {', '.join(files)}")
    onnx = _checked(folder, files[precision], hashes)
    receipt = json.loads(_checked(folder, RECEIPTS, hashes))[precision]
    architecture = json.loads(_checked(folder, ARCHITECTURE, hashes))
    return Loaded(
        folder,
        onnx,
        precision=precision,
        engine=engine or _timed_on(str(receipt["engine"])),
        channels=int(architecture["in_channels"]),
        receipt=receipt,
        threads=threads,
    )


def _timed_on(engine: str) -> str:
    """The engine that a bundle was timed on, if it runs here.

    Raises:
        ValueError: it does not.
    """
    if engine in ENGINES and find_spec(engine) is not None:
        return engine
    why = f"is not installed (pip install {engine})" if engine in ENGINES else "is not run here"
    other = next(name for name in ENGINES if name != engine)
    raise ValueError(
        f"the bundle was timed on {engine}, which {why}; or name another one, as "
        f"engine='{other}', whose latency nobody has promised"
    )


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / name).read_text())
    except FileNotFoundError:
        raise BadBundle(f"{folder} has no {name}: give the folder of a winner") from None
    except (OSError, ValueError) as error:
        raise BadBundle(f"{folder / name} cannot be read ({error}): export it again") from error
    if not isinstance(found, dict):
        raise BadBundle(f"{folder / name} is no manifest: export it again")
    return found


def _checked(folder: Path, name: str, hashes: Mapping[str, Any]) -> bytes:
    """A file of the bundle, as it was exported.

    Raises:
        BadBundle: it is missing, or another one.
    """
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise BadBundle(f"{folder / name} cannot be read ({error}): export it again") from error
    if hashlib.sha256(content).hexdigest() != hashes.get(name):
        raise BadBundle(f"{folder / name} is not what was exported: export it again")
    return content
