"""A network for the zoo, from a run of `nas train`: its files, timed here, judged and described.

    python benchmarks/zoo.py runs/train/<run> x2-good --training "6,000 steps on ..." \
        --judge kodak24 set5

`nas/zoo/networks/<name>` is made anew. The run should have been trained with integers that every
processor adds up rightly (ONEDNN_MAX_CPU_ISA=AVX2): the int8 file then holds weights within 64 of
zero. Both files are judged on their engine by PSNR-Y, on pictures that no training may have seen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from winners_trained import tasks

from nas.api import bench
from nas.durable import digest, write_folder
from nas.report.describe import describe
from nas.zoo.entries import ABOUT, NETWORKS
from runtime import load
from runtime.bundle import Loaded
from runtime.manifest import ARCHITECTURE, MANIFEST, RECEIPTS
from search_spaces.base import Architecture
from search_spaces.modules import build
from search_spaces.skeletons import lower
from trainers.base import Arrays, Task

PRECISIONS = ("fp32", "int8")
LARGEST = 200_000


def main(run: Path, name: str, training: str, train: str, judges: Sequence[str]) -> None:
    """Write the entry and print what it says of itself."""
    (bundle,) = (path.parent for path in run.glob(f"winners/*/{MANIFEST}"))
    manifest = json.loads((bundle / MANIFEST).read_text())
    architecture = Architecture.from_json(json.loads((bundle / ARCHITECTURE).read_text()))
    kept = (ARCHITECTURE, *(f"{p}.onnx" for p in PRECISIONS))
    files = {name: (bundle / name).read_bytes() for name in kept}
    measured = bench([bundle], precisions=PRECISIONS, keep=False)
    receipts = {one.form.precision: one.report.to_json() for one in measured if one.report}
    files[RECEIPTS] = json.dumps(receipts, indent=1).encode()
    every, _ = tasks(train, list(judges))
    quality = {
        Path(judge).name: _quality(bundle, task) for judge, task in zip(judges, every, strict=True)
    }
    network = build(lower(architecture), seed=0)
    about = {
        "what": f"x{architecture.scale} of RGB: {describe(architecture)}",
        "scale": architecture.scale,
        "parameters": sum(p.numel() for p in network.parameters()),
        "training": training,
        "quality": quality,
    }
    files[ABOUT] = json.dumps(about, indent=1).encode()
    said = {name: digest(content) for name, content in files.items()}
    said |= {key: value for key, value in manifest.items() if not isinstance(value, str)}
    files[MANIFEST] = json.dumps(said, indent=1).encode()
    size = sum(map(len, files.values()))
    assert size < LARGEST, f"{size} bytes: the zoo's networks have at most {LARGEST}"
    write_folder(NETWORKS / name, files)
    print(json.dumps(about, indent=1), f"{size} bytes")


def _quality(bundle: Path, task: Task) -> dict[str, float]:
    found: dict[str, float] = {}
    for precision in PRECISIONS:
        loaded = load(bundle, precision=precision)
        scores = task.scores(lambda frames, loaded=loaded: _made(loaded, frames))
        found |= {precision: round(float(np.mean(scores)), 3), "pictures": len(scores)}
    return found | {"bicubic": round(task.baseline(), 3)}


def _made(loaded: Loaded, frames: Sequence[Arrays]) -> list[dict[str, Any]]:
    (port,) = loaded.signature.outputs
    return [{port.name: loaded.run(next(iter(frame.values())))} for frame in frames]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--training", required=True, help="on what, and how, in a sentence")
    parser.add_argument("--train", required=True, help="any folder of pictures")
    parser.add_argument("--judge", nargs="+", required=True)
    asked = parser.parse_args()
    main(asked.run, asked.name, asked.training, asked.train, asked.judge)
