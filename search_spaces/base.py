"""The types of the space room: what a network is as data, and what proposes one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol, Self

from runtime.signature import (
    NUMBERS,
    InvalidSignature,
    Signature,
    in_numbers,
    signature_of,
)

Scalar = str | int | float | bool
Args = tuple[tuple[str, Scalar], ...]


class UnknownName(ValueError):
    """A name in stored data that nothing is registered under; the message lists what is."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        close = get_close_matches(name, known, 1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        super().__init__(f"unknown {kind} '{name}'{meant}; known: {', '.join(sorted(known))}")


class InvalidArchitecture(ValueError):
    """The description contradicts itself: channels, strides or shapes do not fit together."""


@dataclass(frozen=True)
class BlockSpec:
    """One entry of a network's plan: a named block, its feature count, how often it stands.

    Attributes:
        op: a name in `blocks.BLOCKS`.
        channels: feature count of its output.
        repeat: how many of it in a row.
        args: the block's own choices, sorted by name.
    """

    op: str
    channels: int
    repeat: int = 1
    args: Args = ()

    @classmethod
    def of(cls, op: str, channels: int, repeat: int = 1, **args: Scalar) -> Self:
        """Build one with its arguments by name."""
        return cls(op, channels, repeat, tuple(sorted(args.items())))

    def arg(self, name: str, default: Scalar) -> Scalar:
        """The value of one argument, or the default."""
        return dict(self.args).get(name, default)


@dataclass(frozen=True)
class Architecture:
    """A decoded network: it outlives the search space and the sampler that proposed it.

    Attributes:
        skeleton: a name in `skeletons.SKELETONS`; says how the blocks are wired.
        signature: its inputs and outputs; `one_to_one(3, 3, 2)` enlarges pictures by 2.
        args: the skeleton's own choices, sorted by name.
    """

    skeleton: str
    signature: Signature
    blocks: tuple[BlockSpec, ...]
    args: Args = ()

    def __post_init__(self) -> None:
        """Refuse what is no signature.

        Raises:
            InvalidArchitecture: says what to give.
        """
        if not isinstance(self.signature, Signature):
            raise InvalidArchitecture(
                f"the signature of a {self.skeleton} is {self.signature!r}: give a "
                "runtime.signature.Signature, such as one_to_one(in_channels, out_channels, scale)"
            )

    @property
    def in_channels(self) -> int:
        """Channels of the first input."""
        return self.signature.inputs[0].channels

    @property
    def out_channels(self) -> int:
        """Channels of the first output."""
        return self.signature.outputs[0].channels

    @property
    def scale(self) -> int:
        """As in the signature."""
        return self.signature.scale

    @property
    def id(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def arg(self, name: str, default: Scalar) -> Scalar:
        """The value of one of the skeleton's arguments, or the default."""
        return dict(self.args).get(name, default)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back to an equal architecture."""
        return {
            "skeleton": self.skeleton,
            **self._ports(),
            "args": dict(self.args),
            "blocks": [
                {"op": b.op, "channels": b.channels, "repeat": b.repeat, "args": dict(b.args)}
                for b in self.blocks
            ],
        }

    def _ports(self) -> dict[str, Any]:
        """The signature; where it is one picture in and one out the three numbers that say so.

        Networks had no other form once, and their ids are made of it.
        """
        numbers = (self.in_channels, self.out_channels, self.scale)
        if self.signature != in_numbers(self.skeleton, *numbers):
            return {"signature": self.signature.to_json()}
        return dict(zip(NUMBERS, numbers, strict=True))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote.

        Raises:
            InvalidArchitecture: a field is missing or of another kind.
        """
        try:
            blocks = tuple(
                BlockSpec(
                    _name(b, "op"),
                    _count(b, "channels"),
                    _count(b, "repeat"),
                    tuple(sorted(b["args"].items())),
                )
                for b in data["blocks"]
            )
            if "signature" not in data:
                for key in NUMBERS:
                    _count(data, key)
            signature, args = signature_of(data), tuple(sorted(data["args"].items()))
            return cls(_name(data, "skeleton"), signature, blocks, args)
        except InvalidSignature as error:
            raise InvalidArchitecture(str(error)) from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InvalidArchitecture(f"not an architecture: {error} is missing or odd") from error


def _name(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str):
        raise TypeError(f"'{key}' = {value!r}")
    return value


def _count(data: Mapping[str, Any], key: str) -> int:
    value = data[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError(f"'{key}' = {value!r}")
    return value


class Chooser(Protocol):
    """What a search space draws its choices from: an Optuna trial, a seeded generator, a replay.

    The names are Optuna's, so that a trial is a Chooser as it is.
    """

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer from low to high, both included."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


class SearchSpace(Protocol):
    """A set of architectures, given by how one is drawn."""

    @property
    def start(self) -> Sequence[Mapping[str, Any]]:
        """Choices to try first, by name; what a mapping leaves out is drawn. May be empty."""

    def propose(self, chooser: Chooser) -> Architecture:
        """Draw one architecture; the same choices give the same id."""
