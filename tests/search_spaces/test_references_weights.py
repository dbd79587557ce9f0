"""Published weights fit the networks here and reach what was measured with them elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from runtime import as_input
from search_spaces.base import InvalidArchitecture
from search_spaces.modules import Network, load_weights
from search_spaces.onnx_writer import write
from search_spaces.references import REFERENCES
from search_spaces.references.checkpoints import CHECKPOINTS, Checkpoint, read_checkpoint
from search_spaces.work import params_of
from trainers.data.folder import read_folder
from trainers.data.imresize import crop_to_multiple, shrink
from trainers.metrics import psnr_y, to_pixels

DATA = Path(__file__).parents[3] / "shared" / "data"
WEIGHTS, SET5 = DATA / "weights" / "peers", DATA / "val" / "set5"
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_dir(), reason="the published weights are not in ../shared/data/weights/peers"
)
needs_set5 = pytest.mark.skipif(not SET5.is_dir(), reason="Set5 is not in ../shared/data/val/set5")
QUICK = ("espcn_sigmoid x2", "fsrcnn x2", "ecbsr_m4c16 x4", "xlsr x3", "plainusr_u x2")
"""One of each kind; benchmarks/published_psnr.py has them all."""
NAMED = {f"{c.network} x{c.scale}": c for c in CHECKPOINTS}
Image = NDArray[np.float32]


def set5_db(run: Callable[[Image], Image], scale: int) -> float:
    """Mean PSNR of the luma over whole pictures."""
    levels = []
    for photo in read_folder(SET5, smallest=32, max_gib=1.0).photos:
        high = crop_to_multiple(photo.pixels, scale)
        output = to_pixels(run(as_input(shrink(high, scale))))
        levels.append(psnr_y(output, high, border=scale))
    return float(np.mean(levels))


def in_torch(checkpoint: Checkpoint) -> Callable[[Image], Image]:
    network = Network(checkpoint.graph)
    load_weights(network, read_checkpoint(WEIGHTS, checkpoint))

    def run(image: Image) -> Image:
        with torch.no_grad():
            result: Image = network(torch.from_numpy(image)).numpy()
        return result

    return run


def in_onnxruntime(checkpoint: Checkpoint) -> Callable[[Image], Image]:
    weights = read_checkpoint(WEIGHTS, checkpoint)

    def run(image: Image) -> Image:
        height, width = image.shape[2:]
        file = write(checkpoint.graph, weights, height=height, width=width)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        result: Image = session.run(None, {"input": image})[0]
        return result

    return run


@needs_weights
@needs_set5
@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("reading", [in_torch, in_onnxruntime])
def test_published_weights_reach_the_measured_psnr(
    name: str, reading: Callable[[Checkpoint], Callable[[Image], Image]]
) -> None:
    checkpoint = NAMED[name]
    assert set5_db(reading(checkpoint), checkpoint.scale) == pytest.approx(
        checkpoint.set5_db, abs=0.02
    )


@needs_weights
@pytest.mark.parametrize("name", NAMED)
def test_every_published_number_finds_its_place(name: str) -> None:
    checkpoint = NAMED[name]
    with np.load(WEIGHTS / checkpoint.file) as stored:
        published = sum(stored[key].size for key in stored.files)
    assert read_checkpoint(WEIGHTS, checkpoint)
    unread = 28 + 1 if checkpoint.spare_outputs else 0
    assert params_of(checkpoint.graph) + unread == published


def test_checkpoints_belong_to_networks_that_are_known() -> None:
    assert len(NAMED) == len(CHECKPOINTS)
    assert {c.network for c in CHECKPOINTS} <= set(REFERENCES)


def stored(folder: Path, **arrays: Any) -> Checkpoint:
    np.savez(folder / "net.npz", **arrays)
    return Checkpoint("net.npz", "espcn", 2, None)


def small(*shape: int) -> Image:
    return np.zeros(shape, np.float32)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    one = {"conv.weight": small(64, 3, 5, 5), "conv.bias": small(64)}
    with pytest.raises(InvalidArchitecture, match="has 1 layers, the network 3"):
        read_checkpoint(tmp_path, stored(tmp_path, **one))
    three = {f"{k}.weight": small(8, 3, 3, 3) for k in "abc"}
    with pytest.raises(InvalidArchitecture, match="a layer has .*8, 3, 3, 3.* node 1 "):
        read_checkpoint(tmp_path, stored(tmp_path, **three))


def test_a_network_on_another_range_computes_the_same_on_unit_range(tmp_path: Path) -> None:
    layers = {"a": (64, 3, 5, 5), "b": (32, 64, 3, 3), "c": (12, 32, 3, 3)}
    draw = np.random.default_rng(0).standard_normal
    arrays = {
        f"{name}.{kind}": (0.1 * draw(shape if kind == "weight" else shape[:1])).astype("f4")
        for name, shape in layers.items()
        for kind in ("weight", "bias")
    }
    plain = read_checkpoint(tmp_path, stored(tmp_path, **arrays))
    scaled = read_checkpoint(tmp_path, Checkpoint("net.npz", "espcn", 2, None, peak=255.0))
    assert scaled["n1.weight"] == pytest.approx(255 * plain["n1.weight"])
    assert scaled["n1.bias"] == pytest.approx(plain["n1.bias"])
    assert scaled["n3.weight"] == pytest.approx(plain["n3.weight"] / 255)
    assert scaled["n3.bias"] == pytest.approx(plain["n3.bias"] / 255)
