"""Lets the tests of one folder use the made-up networks and studies of another."""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = sorted({str(path.parent) for path in _HERE.rglob("*.py")} - {str(_HERE)})
