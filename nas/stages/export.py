"""Exported: a winner's bundle, timed and compared on the very files that ship."""

from __future__ import annotations

from nas.bundle import export
from nas.evidence import EXPORTED
from nas.experiment import Stage, Words

EXPORT = Stage(EXPORTED, export, Words("exporting", done="winners", bar="winners, exported"))
