"""What the zoo holds: bundles in `networks/` that say what they were trained on.

They have what runs (`manifest.json`, the files, their receipts) and no golden outputs, which would
be larger than the networks. `benchmarks/zoo.py` makes one from a run of `nas train`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NETWORKS = Path(__file__).parent / "networks"
ABOUT = "about.json"


@dataclass(frozen=True)
class Entry:
    """A trained network of the zoo.

    Attributes:
        name: it is called by, and its folder.
        folder: the bundle.
        what: it does, in a few words.
        scale: output size over input size.
        parameters: learned numbers.
        training: on what it was trained, and how.
        quality: PSNR of the luma in dB by test set, none of which training saw: of the
            `fp32` and `int8` file, of `bicubic`, and how many `pictures`.
    """

    name: str
    folder: Path
    what: str
    scale: int
    parameters: int
    training: str
    quality: Mapping[str, Mapping[str, float]]

    def gain_db(self) -> float:
        """What the int8 file adds to bicubic, mean over the test sets; what entries rank by."""
        gains = [one["int8"] - one["bicubic"] for one in self.quality.values()]
        return sum(gains) / len(gains)


def entries() -> list[Entry]:
    """All of them, the best first."""
    found = [_entry(path.parent) for path in sorted(NETWORKS.glob(f"*/{ABOUT}"))]
    return sorted(found, key=lambda entry: -entry.gain_db())


def folder_of(name: str) -> Path | None:
    """The bundle that goes by a name; None where there is none."""
    folder = NETWORKS / name
    return folder if name in names() else None


def names() -> list[str]:
    """What the entries are called."""
    return sorted(path.parent.name for path in NETWORKS.glob(f"*/{ABOUT}"))


def _entry(folder: Path) -> Entry:
    said: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    return Entry(
        folder.name, folder, said["what"], said["scale"], said["parameters"], said["training"],
        said["quality"],
    )
