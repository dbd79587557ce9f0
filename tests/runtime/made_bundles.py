"""Bundles as a search leaves them, with drawn weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import Precision
from latency_models.engines.ov import OpenVINOEngine
from latency_models.measured import MeasuredLatency
from nas.durable import digest
from nas.gates import BOUNDS
from nas.golden import Golden, Made, filled, kept_of
from runtime.pictures import IO
from runtime.signature import Signature, signature_of
from search_spaces.base import Architecture
from search_spaces.graph import Graph, GraphBuilder, shapes_of
from search_spaces.primitives import Conv, DepthToSpace, Shift
from search_spaces.quantize import CPU_RULES
from search_spaces.reach import margin_of, multiple_of
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

HEIGHT, WIDTH = 24, 32


def write_bundle(
    folder: Path,
    network: Architecture | Graph | None = None,
    *,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    precisions: tuple[str, ...] = ("fp32", "int8"),
    said: Mapping[str, Any] | None = None,
    signature: Signature | None = None,
    io: IO = "float_nchw",
) -> Path:
    """Write one.

    Args:
        network: ECBSR-M4C16 where it is None; a Graph makes one picture of one.
        said: what the manifest tells of pictures; None for what export writes, {} for an older
            one, which tells nothing.
        io: how pictures enter and leave the files.
        signature: of a Graph that makes another thing than one picture of one.
    """
    network = network or reference("ecbsr_m4c16", 2)
    graph = network if isinstance(network, Graph) else lower(network)
    height, width = size
    rules = replace(CPU_RULES, io=io)
    files = {
        f"{p}.onnx": untrained(graph, precision=p, height=height, width=width, rules=rules)
        for p in precisions
    }
    receipts = {p: {"engine": "openvino", "median_ms": 1.0} for p in precisions}
    files["latency.json"] = json.dumps(receipts).encode()
    files["architecture.json"] = json.dumps(_described(network, signature)).encode()
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


def with_golden(folder: Path) -> Path:
    """A bundle of the present format: golden outputs as this machine's OpenVINO makes them."""
    signature = signature_of(json.loads((folder / "architecture.json").read_text()))
    dice = np.random.default_rng(3)
    sample = [{
        port.name: dice.integers(0, 256, (1, *port.shape(16, 20))).astype(np.float32) / 255
        for port in signature.given
    }]  # fmt: skip
    made, windows, engine = {}, {}, OpenVINOEngine()
    frames = [filled(frame, signature, (HEIGHT, WIDTH)) for frame in sample]
    for path in folder.glob("*.onnx"):
        precision: Precision = "int8" if path.stem == "int8" else "fp32"
        outputs = MeasuredLatency(engine).run(path.read_bytes(), precision, frames, {})
        cut, known = kept_of(path.stem, outputs, signature, "float_nchw")
        bound = BOUNDS[precision]
        made[path.stem] = Made(
            "openvino", engine.version(), engine.device(), (HEIGHT, WIDTH), bound.largest,
            bound.mean, known,
        )  # fmt: skip
        windows |= cut
    golden = Golden(sample, made, windows)
    for name, content in {**golden.contents(signature), "README.md": b"---\n---\n"}.items():
        (folder / name).write_bytes(content)
    return told_again(folder, format=2)


def told_again(folder: Path, **said: Any) -> Path:
    """Let the manifest vouch for what lies in the folder now, and say this too."""
    manifest = json.loads((folder / "manifest.json").read_text()) | said
    names = {path.name for path in folder.iterdir()} - {"manifest.json"}
    manifest |= {name: digest((folder / name).read_bytes()) for name in names}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def holding(folder: Path, name: str, content: bytes) -> Path:
    """Put a file into a bundle, and let the manifest vouch for it."""
    (folder / name).write_bytes(content)
    return told_again(folder)


def _described(network: Architecture | Graph, signature: Signature | None) -> dict[str, Any]:
    if isinstance(network, Architecture):
        return network.to_json()
    if signature is not None:
        return {"skeleton": "", "blocks": [], "args": {}, "signature": signature.to_json()}
    shapes = shapes_of(network, 48, 48)
    (channels, side, _), made = shapes[0], shapes[network.output]
    numbers = {"in_channels": channels, "out_channels": made[0], "scale": made[1] // side}
    return {"skeleton": "upscaler", "blocks": [], "args": {}, **numbers}


def enlarger(channels: int = 3, *, scale: int = 2, brighter: float = 0.0) -> Graph:
    """Bicubic enlargement, brighter by a constant: it can be foretold what it makes."""
    builder = GraphBuilder(channels)
    large = builder.add(
        Conv, 0, out_channels=channels * scale**2, kernel=(5, 5), fixed="bicubic", factor=scale
    )
    brightened = builder.add(Shift, large, value=brighter)
    return builder.finish(builder.add(DepthToSpace, brightened, factor=scale))


def picture(
    height: int = HEIGHT, width: int = WIDTH, channels: int = 3, dtype: Any = np.uint8
) -> NDArray[Any]:
    """Noise, which shows every seam."""
    dice = np.random.default_rng(7)
    shape = (height, width, channels)
    return dice.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
