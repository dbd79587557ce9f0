"""The roofs of this device, measured once and remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from latency_models.base import Precision
from latency_models.roofline import Peaks
from nas.durable import write_aside
from nas.measurements.benches import Bench

PEAKS = "peaks.json"


@dataclass(frozen=True)
class KnownPeaks:
    """Peaks and the day on which they were seen."""

    peaks: Peaks
    measured: str


def known_peaks(
    bench: Bench,
    precision: Precision,
    path: Path | None,
    *,
    anew: bool,
    before_measuring: Callable[[], None],
) -> KnownPeaks:
    """The best rates seen so far on this engine and device, measured where none are known.

    Args:
        path: the file that remembers; None to measure and remember nothing.
        anew: measure even if some are known. The better rates are kept: a peak is what the
            device could do, and a busy hour only hides it.
        before_measuring: called when the answer will take some seconds.

    Raises:
        CompileError: the engine has no such precision.
        DeviceError: the machine is at fault.
        ValueError: the file is damaged.
        OSError: the file cannot be written.
    """
    ground = json.dumps({**bench.latency.identity(), "precision": precision}, sort_keys=True)
    stored = {} if path is None else _read(path)
    known = _known(stored.get(ground), path) if ground in stored else None
    if known is not None and not anew:
        return known
    before_measuring()
    seen = bench.peaks(precision)
    if known is not None:
        seen = Peaks(
            precision,
            max(seen.gmacs_per_s, known.peaks.gmacs_per_s),
            max(seen.gbytes_per_s, known.peaks.gbytes_per_s),
        )
    found = KnownPeaks(seen, date.today().isoformat())
    if path is not None:
        stored[ground] = asdict(found)
        write_aside(path, json.dumps(stored, indent=1).encode())
    return found


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text())
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise ValueError(f"{path} is no file of peaks: move it away and measure again")
    return stored


def _known(stored: Any, path: Path | None) -> KnownPeaks:
    try:
        return KnownPeaks(Peaks(**stored["peaks"]), str(stored["measured"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no such peaks: move it away and measure again") from error
