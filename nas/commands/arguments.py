"""Reading the command line of the verbs that measure: values, mistakes in one line, engines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from latency_models.base import EngineUnavailable
from latency_models.device import each_wait_once

if TYPE_CHECKING:
    from nas.measurements.benches import Bench
    from nas.onnx_networks import Given


_MOST, _LONGEST = 2**16, 1e6


class Mistake(Exception):
    """What the user can mend; the message says how."""


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, and where examples are."""

    def error(self, message: str) -> NoReturn:
        """Refuse.

        Raises:
            Mistake: always.
        """
        raise Mistake(f"{message} ({self.prog} --help shows examples)")


def size(text: str) -> tuple[int, int]:
    """`360x640` as (height, width).

    Raises:
        argparse.ArgumentTypeError: it is no size.
    """
    match = re.fullmatch(r"([1-9]\d{,5})x([1-9]\d{,5})", text, re.ASCII)
    if match is None or max(int(match[1]), int(match[2])) > _MOST:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no size: give HEIGHTxWIDTH, as 360x640, each at most {_MOST}"
        )
    return int(match[1]), int(match[2])


def positive(text: str) -> int:
    """A whole number from 1 on.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if re.fullmatch(r"0*[1-9]\d{,5}", text, re.ASCII) is None or int(text) > _MOST:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no positive whole number up to {_MOST}"
        )
    return int(text)


def port(text: str) -> int:
    """A number of a port; 0 lets the system choose one.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if re.fullmatch(r"\d{1,5}", text, re.ASCII) is None or int(text) >= 2**16:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: give one of 0 to {2**16 - 1}")
    return int(text)


def amount(text: str) -> float:
    """A number above 0 that is finite, of seconds or milliseconds.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 < value <= _LONGEST:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no such number: give one above 0, and at most {_LONGEST:.0f}"
        )
    return value


def share(text: str) -> float:
    """`1%` as 0.01, above 0 and at most 20 %.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text)
    if match is None or not 0 < float(match[1]) <= 20:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no such share: give per cent above 0 and at most 20, as 1%"
        )
    return float(match[1]) / 100


def described_input(text: str) -> tuple[str, Given]:
    """`sizes=1,3,720,1280` as values of an input, `guide=1x3x64x64` as its shape.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    from nas.onnx_networks import Given

    name, is_there, what = text.rpartition("=")
    if is_there and name and re.fullmatch(r"-?\d+(,-?\d+)*", what):
        return name, Given(values=tuple(map(int, what.split(","))))
    if is_there and name and re.fullmatch(r"[1-9]\d*(x[1-9]\d*)+", what):
        return name, Given(shape=tuple(map(int, what.split("x"))))
    raise argparse.ArgumentTypeError(
        f"'{text}' tells nothing about an input: give NAME=1,3,720,1280 for its values, or "
        "NAME=1x3x64x64 for its shape"
    )


def bench_for(
    name: str,
    *,
    threads: int,
    keep: bool,
    notice: Callable[[str], None],
    within: float | None = None,
) -> Bench:
    """The engine that was named, ready to time.

    Args:
        name: as in `latency_models.engines.ENGINES`, or `auto`.
        threads: of the engine.
        keep: answer from the user's receipts, and add to them.
        notice: told what was picked for `auto`, and when this process has to wait.
        within: how far another process may find the same median, relative; None for the usual.

    Raises:
        Mistake: no such engine, no such setting, or receipts that cannot be written.
        EngineUnavailable: the engine cannot run here.
    """
    from nas.measurements.benches import WITHIN, open_bench, receipts_path

    receipts: Path | None = None
    try:
        receipts = receipts_path() if keep else None
        bench, why = open_bench(
            name,
            threads=threads,
            receipts=receipts,
            within=within or WITHIN,
            notice=each_wait_once(notice),
        )
    except EngineUnavailable:
        raise
    except OSError as error:
        raise Mistake(
            f"cannot write receipts to {receipts} ({error.strerror}): set XDG_CACHE_HOME, or "
            "give --no-cache"
        ) from error
    except ValueError as error:
        raise Mistake(str(error)) from error
    if name == "auto":
        notice(why)
    return bench
