"""A bundle on disk: checked, and loaded into an engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from runtime.engines import ENGINES, Run, compiled
from runtime.pictures import Floats, Pixels, as_input, as_pixels
from runtime.signature import Signature, signature_of

MANIFEST, RECEIPTS, ARCHITECTURE = "manifest.json", "latency.json", "architecture.json"
_LOSSES = ("int8", "fp16", "fp32")
"""Precisions from the one that is shipped for its speed to the one that every bundle has."""


class BadBundle(ValueError):
    """The folder is no bundle, or is not what was exported; the message says what to do."""


class Loaded:
    """A network that is ready to run; call it with a picture, or run it over frames.

    Attributes:
        folder: of the bundle.
        precision: of the file that runs.
        engine: what runs it.
        signature: its inputs and outputs by name.
        receipt: what was measured when it was exported, as JSON; `median_ms` at `input_shape`.
    """

    def __init__(
        self,
        folder: Path,
        onnx: bytes,
        *,
        precision: str,
        engine: str,
        signature: Signature,
        receipt: Mapping[str, Any],
        threads: int,
    ) -> None:
        """Keep the file; it is compiled for a size when the first input of that size comes."""
        self.folder, self.precision, self.engine = folder, precision, engine
        self.signature, self.receipt = signature, receipt
        self._onnx, self._threads = onnx, threads
        self._compiled: dict[tuple[tuple[int, ...], ...], Run] = {}

    @property
    def channels(self) -> int:
        """Of its first input."""
        return self.signature.inputs[0].channels

    def __call__(self, picture: Pixels) -> Pixels:
        """(h, w, C) of uint8 -> (H, W, C) of uint8; a grey picture may be (h, w).

        Raises:
            ValueError: another type or number of channels, a size that the engine cannot run, or
                the network takes or gives more than one picture.
            FloatingPointError: the output has values that are not finite.
        """
        (source, *others), (made, *more) = self.signature.inputs, self.signature.outputs
        if others or more or (source.kind, made.kind) != ("image", "image"):
            ports = ", ".join(port.name for port in self.signature.inputs)
            raise ValueError(
                f"this network takes {ports} and gives "
                f"{', '.join(port.name for port in self.signature.outputs)}: give arrays by name "
                "to `run`, or those of each frame to `over`"
            )
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

    @overload
    def run(self, values: NDArray[np.floating]) -> Floats: ...

    @overload
    def run(self, values: Mapping[str, NDArray[np.floating]]) -> dict[str, Floats]: ...

    def run(
        self, values: NDArray[np.floating] | Mapping[str, NDArray[np.floating]]
    ) -> Floats | dict[str, Floats]:
        """Run once; nothing is clipped or rounded.

        Args:
            values: all inputs by name, what is carried among them, (1, C, h, w) or (1, C); or the
                array of the only one.

        Returns:
            The outputs by name, or the array of the only one.

        Raises:
            ValueError: an input is missing, or the engine cannot run this size.
        """
        alone = not isinstance(values, Mapping)
        named = {self.signature.inputs[0].name: values} if alone else dict(values)
        wanted = [port.name for port in self.signature.inputs]
        if set(named) != set(wanted):
            raise ValueError(
                f"the inputs are {', '.join(map(str, named))}: this network takes "
                f"{', '.join(wanted)}"
            )
        arrays = {name: np.ascontiguousarray(named[name], np.float32) for name in wanted}
        key = tuple(array.shape for array in arrays.values())
        if key not in self._compiled:
            shapes = dict(zip(wanted, key, strict=True))
            self._compiled[key] = compiled(self.engine, self._onnx, shapes, self._threads)
        outputs = self._compiled[key](arrays)
        return next(iter(outputs.values())) if alone and len(outputs) == 1 else outputs

    def over(
        self, frames: Iterable[Mapping[str, NDArray[np.floating]]]
    ) -> Iterator[Mapping[str, Floats]]:
        """Run over frames that follow each other; what the network carries stays between them.

        Args:
            frames: for each the inputs that come from outside, by name.

        Yields:
            All outputs of each frame by name.
        """
        return self.signature.unroll(self.run, frames)


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
        signature=signature_of(architecture),
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
