"""What a file has to pass before it ships: its engine's outputs held against the torch module's.

On pictures of the task and on what pictures seldom have: black, white, full colours, noise, lines
of one pixel; and where layers run in fp16, on what is brighter than white.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import Precision
from nas.candidate import Candidate, Rejection
from nas.experiment import Experiment, Rig
from nas.golden import filled
from nas.ledger import unpack_scales
from nas.trained import int8_arrays, trained_network
from runtime.pictures import IO, entering, leaving
from runtime.signature import Port, Signature
from search_spaces.quantize import float_rest
from trainers.base import Arrays, Run

if TYPE_CHECKING:
    from search_spaces.modules import Network


@dataclass(frozen=True)
class Apart:
    """How far two outputs may be apart, or are: over their largest value where that is above 1.

    Attributes:
        largest: at any value.
        mean: over all of them.
    """

    largest: float
    mean: float


BOUNDS: Mapping[Precision, Apart] = {
    "fp32": Apart(0.005, 1e-4),
    "fp16": Apart(0.03, 2e-3),
    "int8": Apart(0.15, 2e-3),
}
"""By the precision of a file. An output of bytes may round to the next level, 1/255; in int8 a
value inside that rounds to the other side moves single outputs by a few levels, and the mean
hardly: 55 winners of earlier searches were at most 0.007 and 0.0001 from their modules."""
LARGEST_FP16 = 65504.0
PICTURES, EXTREMES, BRIGHT = "pictures", "extremes", "bright"
_BRIGHT = 8.0
"""Times white: three stops, what raw and HDR pictures have above it."""


@dataclass(frozen=True)
class Held:
    """One file held against its module.

    Attributes:
        apart: on each kind of input; none where the network itself is not finite.
        inside: the largest value between the network's layers in float.
        pictures: what the engine made of the task's pictures.
        beside_fp32: how far that and what it made of the rest is from what the fp32 file made.
        missed: why it must not ship, or None.
    """

    apart: Mapping[str, Apart]
    inside: float
    pictures: Sequence[Arrays]
    beside_fp32: Mapping[str, Apart]
    missed: Rejection | None

    def to_json(self) -> dict[str, Any]:
        """What a bundle tells of it."""
        return {
            "apart": {kind: asdict(one) for kind, one in self.apart.items()},
            "beside_fp32": {kind: asdict(one) for kind, one in self.beside_fp32.items()},
            "largest_inside": self.inside,
        }


def hold(
    candidate: Candidate,
    experiment: Experiment,
    rig: Rig,
    files: Mapping[Precision, bytes],
    sample: Sequence[Arrays],
) -> dict[Precision, Held]:
    """Run each file on its engine and its module on the same inputs.

    Args:
        files: fp32 among them, by precision.
        sample: frames of the task's pictures, see `nas.golden.sample_of`.
    """
    signature, io = candidate.architecture.signature, rig.rules.io
    frames, kinds = _inputs(sample, signature, rig, bright="fp16" in files)
    network = trained_network(candidate, experiment)
    inside: list[float] = []
    modules = {"float": _float_run(network, signature, inside)(frames)}
    if "int8" in files:
        modules["int8"] = _int8_run(candidate, experiment)(frames)
    made = {
        precision: rig.runner.run(onnx, precision, frames, signature.carried)
        for precision, onnx in files.items()
    }
    held, most = {}, float(np.max(inside, initial=0.0))
    for precision, outputs in made.items():
        module = modules["int8" if precision == "int8" else "float"]
        apart, kind = _apart(outputs, module, kinds, signature.outputs, io)
        if float_rest(precision, rig.rules) == "fp16" and not most <= LARGEST_FP16:
            missed: Rejection | None = _overflow(precision, most)
        elif kind:
            missed = Rejection("parity", f"{precision}.onnx is not finite on {kind}")
        else:
            missed = _missed(apart, precision)
        beside = {} if precision == "fp32" else _apart(
            outputs, made["fp32"], kinds, signature.outputs, io
        )[0]
        held[precision] = Held(apart, most, outputs[: len(sample)], beside, missed)
    return held


def _inputs(
    sample: Sequence[Arrays], signature: Signature, rig: Rig, *, bright: bool
) -> tuple[list[Arrays], list[str]]:
    """The frames that files are run on, and of which kind each is."""
    size = (rig.target.height, rig.target.width)
    frames: list[Arrays] = [filled(frame, signature, size) for frame in sample]
    kinds = [PICTURES] * len(frames) + [EXTREMES]
    frames.append(extremes(frames[0], signature))
    if bright and rig.rules.io == "float_nchw":
        kinds.append(BRIGHT)
        frames.append(_brighter(frames[0], signature))
    return frames, kinds


def extremes(frame: Arrays, signature: Signature) -> dict[str, NDArray[np.float32]]:
    """Black, white, full colours, noise and lines in the place of a frame's pictures.

    What is no picture goes from the least to the largest value that it has in the frame.
    """
    found = {}
    for port in signature.given:
        values = np.asarray(frame[port.name], np.float32)
        if values.ndim != 4:
            found[port.name] = values
            continue
        pattern = _pattern(*values.shape[1:])
        if port.kind != "image":
            low, high = values.min(), values.max()
            pattern = low + pattern * (high - low)
        found[port.name] = pattern[None].astype(np.float32)
    return found


def _pattern(channels: int, height: int, width: int) -> NDArray[np.float32]:
    """(C, h, w): eight fields in two rows, each of one kind."""
    dice = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    channel = np.arange(channels)[:, None, None]
    shape = (channels, height, width)
    fields = (
        np.zeros(shape), np.ones(shape), dice.integers(0, 2, shape),
        x * 32 // width >> channel % 3 & 1,
        np.broadcast_to(y % 4 == 0, shape), np.broadcast_to(x % 4 == 0, shape),
        np.broadcast_to((x + y) % 2, shape), dice.integers(0, 256, shape) / 255,
    )  # fmt: skip
    where = (y * 2 // height) * 4 + x * 4 // width
    pattern: NDArray[np.float32] = np.choose(where[None], fields).astype(np.float32)
    return pattern


def _brighter(frame: Arrays, signature: Signature) -> dict[str, NDArray[np.float32]]:
    pictures = {port.name for port in signature.given if port.kind == "image"}
    return {n: x * np.float32(_BRIGHT if n in pictures else 1) for n, x in frame.items()}


def _float_run(network: Network, signature: Signature, inside: list[float]) -> Run:
    """The module; the largest value that each of its layers takes or gives is noted."""
    from trainers.calls import run_of

    def note(_: object, given: tuple[Any, ...], made: Any) -> None:
        inside.extend(float(x.abs().max()) for x in (*given, made))

    for layer in network.layers.values():
        layer.register_forward_hook(note)
    return run_of(network, signature)


def _int8_run(candidate: Candidate, experiment: Experiment) -> Run:
    from search_spaces.fake_quantize import restore
    from trainers.calls import run_of

    network, arrays = trained_network(candidate, experiment), int8_arrays(candidate, experiment)
    weights, placement, scales = unpack_scales(arrays, network.graph, experiment.main.rules)
    return run_of(restore(network, placement, weights, scales), candidate.architecture.signature)


def _apart(
    one: Sequence[Arrays], other: Sequence[Arrays], kinds: Sequence[str],
    ports: Sequence[Port], io: IO,
) -> tuple[dict[str, Apart], str]:  # fmt: skip
    """How far outputs are apart on each kind of input, or the kind where they are not finite."""
    found: dict[str, list[tuple[float, float]]] = {}
    for kind, made, module in zip(kinds, one, other, strict=True):
        for port in ports:
            theirs = module[port.name]
            if not (np.isfinite(theirs).all() and np.isfinite(made[port.name]).all()):
                return {}, kind
            difference = np.abs(made[port.name] - as_shipped(theirs, port, io))
            difference /= max(1.0, float(np.abs(theirs).max()))
            found.setdefault(kind, []).append((float(difference.max()), float(difference.mean())))
    return {
        kind: Apart(max(most for most, _ in each), float(np.mean([mean for _, mean in each])))
        for kind, each in found.items()
    }, ""


def _overflow(precision: Precision, most: float) -> Rejection:
    reason = (
        f"{precision}.onnx has values of {most:.3g} inside, over the {LARGEST_FP16:g} that fp16 "
        "holds"
    )
    return Rejection("parity", reason, most if np.isfinite(most) else None, LARGEST_FP16)


def _missed(apart: Mapping[str, Apart], precision: Precision) -> Rejection | None:
    bound = BOUNDS[precision]
    for kind, one in apart.items():
        for value, limit, where in (
            (one.largest, bound.largest, ""), (one.mean, bound.mean, " in the mean"),
        ):
            if value > limit:
                reason = (
                    f"{precision}.onnx is {value:.2g} from its network on {kind}{where}, over "
                    f"the {limit:g} allowed"
                )
                return Rejection("parity", reason, value, limit)
    return None


def as_shipped(values: NDArray[np.float32], port: Port, io: IO) -> NDArray[np.float32]:
    """An output of the module, rounded as the file rounds it."""
    if port.kind != "image" or port.scale is None:
        return values
    return leaving(entering(values, io), io)
