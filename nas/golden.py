"""Golden inputs and outputs: what a bundle's files made of one input where they were exported.

`golden.npz` holds a few crops of the task's own pictures, joined and mirrored until they fill a
file's inputs, and a window of what each file made of them; `golden.json` where the window lies, a
hash of the whole output, and on what it was computed. So it stays small at any size. The arrays
are not compressed, so that `runtime/cpp` reads them by itself; they were once, and are still read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.durable import digest
from runtime.pictures import IO, entering, leaving
from runtime.signature import Port, Signature
from trainers.base import Arrays, Task

ARRAYS, GOLDEN = "golden.npz", "golden.json"
_CROPS = 16
_LARGEST_WINDOW, _MOST_VALUES = 192, 120_000
_LEVELS: IO = "uint8_nchw"


@dataclass(frozen=True)
class Made:
    """What one file made of the golden input.

    Attributes:
        engine: that computed it, and `engine_version` and `device` of it.
        size: height and width of the deployment that the file is for.
        largest: how far another engine's output may be from it at any value, over the largest
            value where that is above 1.
        mean: how far it may be in the mean.
        outputs: of the frame t and the port p under `t.p`, with the window's top and left in
            `at` and a hash of the whole.
    """

    engine: str
    engine_version: str
    device: str
    size: tuple[int, int]
    largest: float
    mean: float
    outputs: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Match:
    """How near an output is to the golden one.

    Attributes:
        exact: every bit of it is the same.
        largest: the largest difference in the window, over the largest value where that is above
            1; infinite where it is of another shape or not finite.
        mean: the mean one.
    """

    exact: bool
    largest: float
    mean: float


def sample_of(task: Task, signature: Signature) -> list[Arrays]:
    """Crops that the task calibrates with, side by side as one picture; as 8 bits hold them.

    Returns:
        One frame; two where a network carries something from the first to the second.
    """
    from trainers.calls import frames_of

    ports = {port.name: port for port in signature.given}
    frames = frames_of(task.calibration(_CROPS))[: 2 if signature.carried else 1]
    return [
        {n: _of_bits(_joined(x.numpy()), ports[n]) for n, x in frame.items() if n in ports}
        for frame in frames
    ]


def _joined(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, C, h, w) -> (1, C, k h, k w) of the first k * k; the first of vectors."""
    if crops.ndim != 4:
        return crops[:1]
    side, (_, channels, height, width) = isqrt(len(crops)), crops.shape
    square = crops[: side * side].reshape(side, side, channels, height, width)
    return square.transpose(2, 0, 3, 1, 4).reshape(1, channels, side * height, side * width)


def _of_bits(values: NDArray[np.float32], port: Port) -> NDArray[np.float32]:
    return leaving(entering(values, _LEVELS), _LEVELS) if _is_picture(port) else values


def _is_picture(port: Port) -> bool:
    return port.kind == "image" and port.scale is not None


def filled(frame: Arrays, signature: Signature, size: tuple[int, int]) -> dict[str, Any]:
    """The sample mirrored, or cut, until it fills the inputs of a deployment of this size."""
    ports = {port.name: port for port in signature.given}

    def full(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        sides = ports[name].shape(*size)[1:]
        pad = [(0, max(0, side - had)) for side, had in zip(sides, values.shape[2:], strict=True)]
        mirrored = np.pad(values, [(0, 0), (0, 0), *pad][: values.ndim], mode="symmetric")
        return mirrored[(slice(None), slice(None), *map(slice, sides))]

    return {name: full(name, values) for name, values in frame.items()}


@dataclass(frozen=True)
class Golden:
    """The golden input, and what each file of a bundle made of it.

    Attributes:
        sample: of each frame the inputs by port, see `sample_of`.
        made: by the names of the files, without `.onnx`.
        windows: of each output, under `<file>.<frame>.<port>`.
    """

    sample: Sequence[Arrays]
    made: Mapping[str, Made]
    windows: Mapping[str, NDArray[Any]]

    def frames(self, file: str, signature: Signature) -> list[dict[str, Any]]:
        """What this file is given."""
        return [filled(frame, signature, self.made[file].size) for frame in self.sample]

    def match(self, file: str, outputs: Sequence[Arrays]) -> Match:
        """Hold what an engine made of these frames against what the bundle has."""
        exact, largest = True, 0.0
        means: list[float] = []
        for key, known in self.made[file].outputs.items():
            frame, port = key.split(".", 1)
            window = self.windows[f"{file}.{key}"]
            made = _as_kept(outputs[int(frame)][port], is_bytes=window.dtype == np.uint8)
            exact &= list(made.shape) == known["shape"] and _hash(made) == known["sha256"]
            cut = _window(made, known["at"], window.shape)
            if cut.shape != window.shape or not np.isfinite(made.astype(np.float32)).all():
                return Match(False, np.inf, np.inf)
            apart = np.abs(cut.astype(np.float32) - window.astype(np.float32))
            apart /= 255 if window.dtype == np.uint8 else max(1.0, float(np.abs(window).max()))
            largest = max(largest, float(apart.max()))
            means.append(float(apart.mean()))
        return Match(exact, largest, float(np.mean(means)))

    def contents(self, signature: Signature) -> dict[str, bytes]:
        """The two files."""
        kept = dict(self.windows)
        for t, frame in enumerate(self.sample):
            for port in signature.given:
                values = frame[port.name]
                is_picture = _is_picture(port)
                kept[f"given.{t}.{port.name}"] = (
                    entering(values, _LEVELS) if is_picture else values
                )
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **kept)
        made = {name: asdict(one) for name, one in self.made.items()}
        return {ARRAYS: packed.getvalue(), GOLDEN: (json.dumps(made, indent=1) + "\n").encode()}


def read_golden(arrays: bytes, made: Mapping[str, Any]) -> Golden:
    """What `contents` gave.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    with np.load(io.BytesIO(arrays), allow_pickle=False) as packed:
        kept = {name: packed[name] for name in packed.files}
    sample: list[dict[str, Any]] = []
    for name in sorted(name for name in kept if name.startswith("given.")):
        _, frame, port = name.split(".", 2)
        sample += [{}] * (int(frame) + 1 - len(sample))
        values = kept.pop(name)
        is_bytes = values.dtype == np.uint8
        sample[int(frame)] = {
            **sample[int(frame)], port: leaving(values, _LEVELS) if is_bytes else values
        }
    every = {n: Made(**{**one, "size": tuple(one["size"])}) for n, one in made.items()}
    return Golden(sample, every, kept)


def kept_of(
    file: str, outputs: Sequence[Arrays], signature: Signature, io: IO
) -> tuple[dict[str, NDArray[Any]], dict[str, dict[str, Any]]]:
    """Windows of a file's outputs, and what is known of each; hidden states are left out."""
    windows: dict[str, NDArray[Any]] = {}
    known: dict[str, dict[str, Any]] = {}
    for t, made in enumerate(outputs):
        for port in signature.outputs:
            if port.kind == "state" or port.name in signature.carried:
                continue
            is_bytes = io != "float_nchw" and _is_picture(port)
            whole = _as_kept(made[port.name], is_bytes=is_bytes)
            side = min(_LARGEST_WINDOW, isqrt(_MOST_VALUES // whole.shape[1]))
            sides = [min(had, side) for had in whole.shape[2:]]
            at = [(had - own) // 2 for had, own in zip(whole.shape[2:], sides, strict=True)]
            key = f"{t}.{port.name}"
            windows[f"{file}.{key}"] = _window(whole, at, (*whole.shape[:2], *sides))
            known[key] = {"shape": list(whole.shape), "at": at, "sha256": _hash(whole)}
    return windows, known


def _as_kept(values: NDArray[np.float32], *, is_bytes: bool) -> NDArray[Any]:
    # Not every engine gives what can be written as it lies.
    return np.ascontiguousarray(entering(values, _LEVELS) if is_bytes else values)


def _window(values: NDArray[Any], at: Sequence[int], shape: Sequence[int]) -> NDArray[Any]:
    sides = (slice(top, top + side) for top, side in zip(at, shape[2:], strict=True))
    return values[(slice(None), slice(None), *sides)]


def _hash(values: NDArray[Any]) -> str:
    return digest(values.tobytes())
