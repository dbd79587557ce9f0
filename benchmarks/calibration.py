"""What int8 by calibration alone loses on published weights, and what preparing them wins.

    python benchmarks/calibration.py --weights <folder> --train <folder> --set5 <folder>
        [--only fsrcnn ecbsr] [--scale 2]

dB lost on Set5 by the papers' protocol, fake-quantized (no engine), 64 crops of the training
pictures; with weights in +-64, as x86 processors without VNNI need them, and in +-127. Prepared
means that channels are equalized and weights rounded for their sums; else each weight is rounded
by itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from published_psnr import pictures, psnr_db

from runtime.signature import one_to_one
from search_spaces.fake_quantize import prepare
from search_spaces.modules import Network, load_weights
from search_spaces.quantize import CPU_RULES, INT8_MAX
from search_spaces.references.checkpoints import CHECKPOINTS, read_checkpoint
from trainers.base import PictureRun
from trainers.calls import all_inputs, on_pictures, run_of
from trainers.data.photo import Photo
from trainers.data.sources import Sources
from trainers.qat import calibrate
from trainers.tasks.super_resolution import SuperResolution

CROPS = 64


def pictures_of(network: Network) -> PictureRun:
    """A network as a function of single pictures."""
    return on_pictures(run_of(network, one_to_one(3, 3, 1)))


def lost_db(
    network: Network, task: SuperResolution, photos: Sequence[Photo], top: int, ready: bool
) -> float:
    """What one way to calibrate loses."""
    rules = replace(CPU_RULES, weight_max=top)
    inputs = all_inputs(network, task.signature, task.calibration(CROPS)) if ready else []
    prepared = prepare(network, rules, inputs=inputs)
    calibrate(prepared, task, CROPS)
    before = psnr_db(pictures_of(network), photos, task.scale)
    return psnr_db(pictures_of(prepared.eval()), photos, task.scale) - before


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--set5", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[""], help="networks that begin so")
    parser.add_argument("--scale", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    photos = pictures(options.set5)
    data = Sources(str(options.train), str(options.set5))
    task = SuperResolution(scale=options.scale, data=data)
    print("| network | fp32 | +-64 | prepared | +-127 | prepared |")
    print("|---|---|---|---|---|---|")
    for checkpoint in CHECKPOINTS:
        chosen = checkpoint.network.startswith(tuple(options.only))
        if checkpoint.scale != options.scale or not chosen:
            continue
        network = Network(checkpoint.graph)
        load_weights(network, read_checkpoint(options.weights, checkpoint))
        network.eval()
        cells = [f"{psnr_db(pictures_of(network), photos, options.scale):.2f}"]
        for top in (CPU_RULES.weight_max // 2 + 1, INT8_MAX):
            for ready in (False, True):
                cells.append(f"{lost_db(network, task, photos, top, ready):+.2f}")
        print("| " + " | ".join([checkpoint.network, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
