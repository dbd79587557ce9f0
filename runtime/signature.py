"""What goes into a network and comes out of it: named ports, and how frames follow each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

KINDS = ("image", "map", "state")
INPUT, OUTPUT = "input", "output"
"""The ports' names where there is one of each."""
Arrays = Mapping[str, Any]
"""By port, numpy arrays or torch tensors, (N, C, H, W), or (N, C) for a vector."""


class InvalidSignature(ValueError):
    """Ports that contradict each other; the message names them."""


@dataclass(frozen=True)
class Port:
    """One input or output of a network.

    Attributes:
        name: what the file calls it.
        channels: feature count.
        scale: its height and width over the deployment's; None for a vector (N, channels).
        kind: `image` has values in [0, 1]; a `map` any, its unit is its maker's to tell; a
            `state` is hidden and carried from frame to frame.
    """

    name: str
    channels: int
    scale: Fraction | None = Fraction(1)
    kind: str = "image"

    def __post_init__(self) -> None:
        """Refuse what no tensor can be.

        Raises:
            InvalidSignature: says what is wrong.
        """
        if not self.name.isidentifier():
            raise InvalidSignature(f"a port is called '{self.name}': use letters, digits and _")
        if self.channels < 1:
            raise InvalidSignature(f"the port {self.name} has {self.channels} channels")
        if self.scale is not None and self.scale <= 0:
            raise InvalidSignature(f"the port {self.name} has a scale of {self.scale}")
        if self.kind not in KINDS:
            raise InvalidSignature(
                f"the port {self.name} is '{self.kind}': use one of {', '.join(KINDS)}"
            )

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """(C, H, W) where the deployment is of this size, (C,) for a vector.

        Raises:
            InvalidSignature: its share of the size is no whole number.
        """
        if self.scale is None:
            return (self.channels,)
        sides = (height * self.scale, width * self.scale)
        if any(side.denominator > 1 for side in sides):
            raise InvalidSignature(
                f"the port {self.name} is {self.scale} of {height}x{width}: use a height and "
                f"width that divide by {self.scale.denominator}"
            )
        return (self.channels, *map(int, sides))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back."""
        scale = None if self.scale is None else str(self.scale)
        return {"name": self.name, "channels": self.channels, "scale": scale, "kind": self.kind}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Port:
        """Read back what `to_json` wrote."""
        scale = None if data["scale"] is None else Fraction(data["scale"])
        return cls(data["name"], data["channels"], scale, data["kind"])


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a network, in the order in which its file lists them.

    Attributes:
        inputs: at least one.
        outputs: at least one; the first is the one that people look at.
        carried: an output -> the input that takes it at the next frame; zeros at the first one.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    carried: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse ports that contradict each other.

        Raises:
            InvalidSignature: says which.
        """
        names = [port.name for port in (*self.inputs, *self.outputs)]
        if not (self.inputs and self.outputs):
            raise InvalidSignature("a network needs an input and an output")
        if twice := {name for name in names if names.count(name) > 1}:
            raise InvalidSignature(f"two ports are called {sorted(twice)[0]}")
        for source, reader in self.carried.items():
            made = {port.name: port for port in self.outputs}.get(source)
            taken = {port.name: port for port in self.inputs}.get(reader)
            if made is None or taken is None:
                raise InvalidSignature(
                    f"{source} is carried to {reader}, and there is no such output or input"
                )
            if (made.channels, made.scale) != (taken.channels, taken.scale):
                raise InvalidSignature(
                    f"{source} is carried to {reader}, which is of another size"
                )
        if len(set(self.carried.values())) < len(self.carried):
            raise InvalidSignature("two outputs are carried to one input")
        if len(self.carried) == len(self.inputs):
            raise InvalidSignature("every input is carried: nothing comes from outside")

    def __hash__(self) -> int:
        return hash((self.inputs, self.outputs, tuple(sorted(self.carried.items()))))

    @property
    def given(self) -> tuple[Port, ...]:
        """The inputs that come from outside at every frame."""
        return tuple(p for p in self.inputs if p.name not in self.carried.values())

    @property
    def scale(self) -> int:
        """How much larger the first output is than the deployment; 1 for a vector or a share."""
        return max(1, int(self.outputs[0].scale or 1))

    def size(self, arrays: Arrays) -> tuple[int, int]:
        """Height and width of the deployment that these inputs are of.

        Raises:
            InvalidSignature: none of them has a size.
        """
        for port in self.given:
            if port.scale is not None and port.name in arrays:
                height, width = (int(side / port.scale) for side in arrays[port.name].shape[-2:])
                return height, width
        raise InvalidSignature("no input has a height and width")

    def start(self, arrays: Arrays) -> dict[str, Any]:
        """What the carried inputs are at the first frame: zeros like the inputs beside them."""
        if not self.carried:
            return {}
        height, width = self.size(arrays)
        like = arrays[self.given[0].name]
        states = [port for port in self.inputs if port.name in self.carried.values()]
        return {
            port.name: _zeros(like, (like.shape[0], *port.shape(height, width))) for port in states
        }

    def unroll(
        self, step: Callable[[Arrays], Arrays], frames: Iterable[Arrays]
    ) -> Iterator[Arrays]:
        """Run a network of this signature over frames, see `unroll`."""
        return unroll(step, frames, carried=self.carried, start=self.start)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back."""
        return {
            "inputs": [port.to_json() for port in self.inputs],
            "outputs": [port.to_json() for port in self.outputs],
            "carried": dict(self.carried),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """Read back what `to_json` wrote."""
        inputs, outputs = (
            tuple(Port.from_json(port) for port in data[key]) for key in ("inputs", "outputs")
        )
        return cls(inputs, outputs, dict(data["carried"]))


def one_to_one(in_channels: int, out_channels: int, scale: int | None = 1) -> Signature:
    """One picture in, one picture out, `scale` times as large; a vector where it is None."""
    made = None if scale is None else Fraction(scale)
    kind = "map" if scale is None else "image"
    return Signature((Port(INPUT, in_channels),), (Port(OUTPUT, out_channels, made, kind),))


NUMBERS = ("in_channels", "out_channels", "scale")
_CLASSIFIERS = ("classifier", "mobilenet_v1", "mobilenet_v2")
"""Skeletons that give a vector, of which a description with a scale of 1 does not speak."""


def in_numbers(skeleton: str, in_channels: int, out_channels: int, scale: int) -> Signature:
    """The signature that a description means which has only these three numbers."""
    return one_to_one(in_channels, out_channels, None if skeleton in _CLASSIFIERS else scale)


def signature_of(architecture: Mapping[str, Any]) -> Signature:
    """The signature of a network from its description as JSON.

    Raises:
        InvalidSignature: its ports contradict each other.
        KeyError, TypeError, ValueError: it is no description.
    """
    if "signature" in architecture:
        return Signature.from_json(architecture["signature"])
    return in_numbers(architecture["skeleton"], *(architecture[key] for key in NUMBERS))


def unroll(
    step: Callable[[Arrays], Arrays],
    frames: Iterable[Arrays],
    *,
    carried: Mapping[str, str],
    start: Callable[[Arrays], Arrays],
) -> Iterator[Arrays]:
    """Run a network over frames that follow each other; what it carries stays between them.

    Args:
        step: all inputs of one frame -> all outputs.
        frames: for each frame the inputs that come from outside.
        carried: an output -> the input that takes it at the next frame.
        start: the first frame -> what the carried inputs are there.

    Yields:
        All outputs of each frame.
    """
    state: Arrays | None = None
    for frame in frames:
        outputs = step({**frame, **(start(frame) if state is None else state)})
        state = {reader: outputs[source] for source, reader in carried.items()}
        yield outputs


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of this shape, of the same library, type and device."""
    if hasattr(like, "new_zeros"):
        return like.new_zeros(shape)
    import numpy as np

    return np.zeros(shape, like.dtype)
