"""A latency model that crashes, hangs and eats memory on some files: it runs in a real child."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import numpy as np
from finished_studies import receipt

from latency_models.base import LatencyReport, Precision


class Wild:
    """Misbehaves on the questions whose numbers say so, counted in a file that outlives it."""

    def __init__(self, folder: str) -> None:
        self._count = Path(folder) / "questions"

    def identity(self) -> dict[str, str]:
        """No receipt of this engine is kept."""
        return {"engine": "wild"}

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        """Note the question before anything goes wrong, then do what its number says."""
        number = len(self._count.read_text()) if self._count.exists() else 0
        self._count.write_text("x" * (number + 1))
        print(f"kernel {number} selected", file=sys.stderr, flush=True)
        if number == 1:
            ctypes.string_at(0)
        if number == 2:
            time.sleep(600)
        if number == 3:
            kept = []
            while True:
                kept.append(np.ones(4 << 20, np.uint8))
                time.sleep(0.001)
        return receipt(5.0 + number / 10, precision=precision)
