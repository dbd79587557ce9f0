"""What the parts of the GPU script share: a row of the table, the form of a run, the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from latency_models.base import Precision
from trainers.budget import Compiling

Outcome = Literal["measured", "absent", "refused", "failed", "skipped"]
"""`absent`: a library is not here. `refused`: a library says no to this network or plan."""
Device = Literal["cuda", "cpu"]
Size = tuple[int, int]


class Absent(Exception):
    """What a part is about is not on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what was measured; empty where the line is about the whole part.
        value: the figure, in `unit`; None where nothing was measured.
        words: in one line, how sure the figure is, or why there is none.
        facts: what the figure was made from, such as a receipt.
    """

    part: str
    what: str
    outcome: Outcome
    value: float | None = None
    unit: str = ""
    words: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


Tell = Callable[[Row], None]
"""Takes a row as soon as it is known; what was told survives whatever comes after."""


@dataclass(frozen=True)
class Form:
    """How much is measured.

    Attributes:
        networks: published networks that are timed with inductor.
        few: those of them that the other parts take.
        sizes: height and width of the input.
        measure_s: most time for the rounds of one receipt.
        compilers: processes that compile ahead of the timing; 0 for none.
        at_once: how many networks are trained at once.
        compiling: how a training step is compiled.
        workers: how many processes screen at once.
        screen_s: for how long screened candidates are counted.
        batch: crops per training step.
        crop: height and width of a training input.
        window_s: for how long training steps are counted.
    """

    device: Device
    networks: tuple[str, ...]
    few: tuple[str, ...]
    precisions: tuple[Precision, ...]
    sizes: tuple[Size, ...]
    measure_s: float = 1.5
    compilers: int = 0
    at_once: tuple[int, ...] = (1, 4)
    compiling: tuple[Compiling, ...] = ("none", "default", "cuda_graphs")
    workers: tuple[int, ...] = (1, 4)
    screen_s: float = 15.0
    batch: int = 16
    crop: int = 32
    window_s: float = 3.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` made of it, after it was JSON."""
        kept: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**kept | {"sizes": tuple((int(h), int(w)) for h, w in data["sizes"])})


class Pace:
    """The time that a part has left, and the longest of its turns so far.

    A turn that would likely not end in time is not begun.
    """

    def __init__(self, seconds: float) -> None:
        """The time begins now."""
        self._until = time.monotonic() + seconds
        self._longest_s = 0.0

    @property
    def left_s(self) -> float:
        """Seconds left; negative when the time is over."""
        return self._until - time.monotonic()

    def allows(self) -> bool:
        """Whether a turn as long as the longest would still end in time."""
        return self.left_s > self._longest_s

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Take the time of one turn, however it ends."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._longest_s = max(self._longest_s, time.monotonic() - began)


def one_line(error: BaseException | str) -> str:
    """An error's words without line breaks, with its type where the words are its own."""
    words = " ".join(str(error).split())[:1200]
    known = isinstance(error, str) or type(error).__module__.startswith("latency_models")
    return words if known else f"{type(error).__name__}: {words}".rstrip(": ")


def named(name: str, precision: str, size: Size) -> str:
    """How a network in one form is called in the table."""
    return f"{name} {precision} {size[0]}x{size[1]}"


def left_out(part: str, names: list[str]) -> Row:
    """One line for all that there was no time for."""
    what = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return Row(part, what, "skipped", words="skipped: time", facts={"left_out": names})
