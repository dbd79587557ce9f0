"""PSNR on Set5 of published weights in this project's networks, from torch and from ONNX files.

    python benchmarks/published_psnr.py --weights <folder> --set5 <folder> [--only etds xlsr]

Each picture is cut to a multiple of the scale, reduced by the papers' bicubic, enlarged whole
(the files have static shapes: one is written per picture size), rounded to 8 bits, and compared
in luma with `scale` pixels left out at the border. `measured` is what an independent program
found with the same weights. Exit code 1 where a figure is further off than 0.02 dB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from runtime import as_input
from search_spaces.modules import Network, load_weights
from search_spaces.onnx_writer import write
from search_spaces.references.checkpoints import CHECKPOINTS, Checkpoint, read_checkpoint
from search_spaces.work import params_of
from trainers.data.folder import read_folder
from trainers.data.imresize import crop_to_multiple, shrink
from trainers.data.photo import Photo
from trainers.metrics import psnr_y, to_pixels

Image = NDArray[np.float32]
Run = Callable[[Image], Image]
TOLERANCE_DB = 0.02


def pictures(folder: Path) -> list[Photo]:
    """The pictures of a test set."""
    return list(read_folder(folder, smallest=32, max_gib=1.0).photos)


def psnr_db(run: Run, photos: Sequence[Photo], scale: int) -> float:
    """Mean PSNR of the luma by the protocol of the papers."""
    levels = []
    for photo in photos:
        high = crop_to_multiple(photo.pixels, scale)
        output = to_pixels(run(as_input(shrink(high, scale))))
        levels.append(psnr_y(output, high, border=scale))
    return float(np.mean(levels))


def in_torch(checkpoint: Checkpoint, weights: dict[str, Image]) -> Run:
    """The torch reading of the network."""
    network = Network(checkpoint.graph)
    load_weights(network, weights)
    network.eval()

    def run(image: Image) -> Image:
        with torch.no_grad():
            result: Image = network(torch.from_numpy(image)).numpy()
        return result

    return run


def in_onnx(checkpoint: Checkpoint, weights: dict[str, Image]) -> Run:
    """The ONNX reading, one file per picture size, in ONNX Runtime."""

    def run(image: Image) -> Image:
        height, width = image.shape[2:]
        file = write(checkpoint.graph, weights, height=height, width=width)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"]
        )
        result: Image = session.run(None, {session.get_inputs()[0].name: image})[0]
        return result

    return run


def row(checkpoint: Checkpoint, weights: Path, photos: Sequence[Photo]) -> tuple[str, bool]:
    """One line of the table, and whether it agrees."""
    arrays = read_checkpoint(weights, checkpoint)
    torch_db = psnr_db(in_torch(checkpoint, arrays), photos, checkpoint.scale)
    onnx_db = psnr_db(in_onnx(checkpoint, arrays), photos, checkpoint.scale)
    known = checkpoint.set5_db
    agrees = known is None or max(abs(torch_db - known), abs(onnx_db - known)) <= TOLERANCE_DB
    measured = "-" if known is None else f"{known:.2f}"
    cells = (
        checkpoint.network, f"x{checkpoint.scale}", f"{params_of(checkpoint.graph):,}",
        f"{torch_db:.3f}", f"{onnx_db:.3f}", measured, "" if agrees else "differs",
    )
    return "| " + " | ".join(cells) + " |", agrees


def main() -> int:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--set5", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[""], help="networks that begin so")
    options = parser.parse_args()
    torch.set_num_threads(1)
    photos = pictures(options.set5)
    print("| network | scale | parameters | torch | ONNX | measured | |")
    print("|---|---|---|---|---|---|---|")
    agree = True
    for checkpoint in CHECKPOINTS:
        if checkpoint.network.startswith(tuple(options.only)):
            line, agrees = row(checkpoint, options.weights, photos)
            print(line, flush=True)
            agree &= agrees
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
