"""Bundles as a search leaves them, with drawn weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.durable import digest
from search_spaces.base import Architecture
from search_spaces.reach import margin_of, multiple_of
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

HEIGHT, WIDTH = 24, 32


def write_bundle(
    folder: Path,
    network: Architecture | None = None,
    *,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    precisions: tuple[str, ...] = ("fp32", "int8"),
    said: Mapping[str, Any] | None = None,
) -> Path:
    """Write one.

    Args:
        network: ECBSR-M4C16 where it is None.
        said: what the manifest tells of pictures; None for what export writes, {} for an older
            one, which tells nothing.
    """
    network = network or reference("ecbsr_m4c16", 2)
    graph = lower(network)
    height, width = size
    files = {
        f"{p}.onnx": untrained(graph, precision=p, height=height, width=width)
        for p in precisions
    }
    receipts = {p: {"engine": "openvino", "median_ms": 1.0} for p in precisions}
    files["latency.json"] = json.dumps(receipts).encode()
    files["architecture.json"] = json.dumps(network.to_json()).encode()
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifest: dict[str, Any] = {name: digest(content) for name, content in files.items()}
    if said is None:
        said = {"planes": "", "margin": margin_of(graph), "multiple": multiple_of(graph)}
    if said:
        manifest["picture"] = said
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def picture(
    height: int = HEIGHT, width: int = WIDTH, channels: int = 3, dtype: Any = np.uint8
) -> NDArray[Any]:
    """Noise, which shows every seam."""
    dice = np.random.default_rng(7)
    shape = (height, width, channels)
    return dice.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
