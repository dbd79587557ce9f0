"""How well the bundled pictures rank published networks, beside another set such as Kodak's 24.

    python benchmarks/judging_pictures.py <folder of published weights> <folder of pictures>

The weights are the files of `search_spaces.references.checkpoints`; of the pictures the middle
256 x 256 pixels count, as of the bundled ones. x2, PSNR of the luma.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from runtime import as_input
from search_spaces.modules import build, load_weights
from search_spaces.references.checkpoints import CHECKPOINTS, read_checkpoint
from trainers.base import Pixels
from trainers.data.bundled import middle, validation_photos
from trainers.data.imresize import crop_to_multiple, shrink
from trainers.metrics import psnr_y, to_pixels

SCALE = 2


def networks(folder: Path) -> dict[str, torch.nn.Module]:
    """Every published network at this scale whose weights are there."""
    found: dict[str, torch.nn.Module] = {}
    for checkpoint in CHECKPOINTS:
        if checkpoint.scale == SCALE and (folder / checkpoint.file).is_file():
            network = build(checkpoint.graph, seed=0)
            load_weights(network, read_checkpoint(folder, checkpoint))
            found[checkpoint.file] = network.eval()
    return found


def qualities(pixels: Pixels, nets: dict[str, torch.nn.Module]) -> NDArray[np.float64]:
    """PSNR of the luma of one picture by each network, dB."""
    high = crop_to_multiple(pixels, 4 * SCALE)
    low = torch.from_numpy(as_input(shrink(high, SCALE)))
    with torch.inference_mode():
        outputs = [to_pixels(net(low).numpy()) for net in nets.values()]
    return np.array([psnr_y(output, high, border=SCALE) for output in outputs])


def main(weights: Path, pictures: Path, also: list[Path]) -> None:
    """Print the rank correlation of each picture, and of their mean, with the other set's mean."""
    nets = networks(weights)
    files = [path for path in sorted(pictures.iterdir()) if path.suffix in (".png", ".jpg")]
    others = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    truth = np.mean([qualities(middle(pixels), nets) for pixels in others], axis=0)
    every = {photo.name: qualities(photo.pixels, nets) for photo in validation_photos()}
    print(f"{len(nets)} networks, {len(others)} pictures to agree with")
    for name, found in every.items():
        print(f"{name:12} {spearmanr(found, truth)[0]:.2f}")
    for path in also:
        found = qualities(middle(np.asarray(Image.open(path).convert("RGB"))), nets)
        print(f"{path.stem:12} {spearmanr(found, truth)[0]:.2f} (not among them)")
    drawn = [found for name, found in every.items() if name.startswith("leaves")]
    print(f"{'drawn ones':12} {spearmanr(np.mean(drawn, axis=0), truth)[0]:.2f}")
    print(f"{'mean':12} {spearmanr(np.mean(list(every.values()), axis=0), truth)[0]:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--also", nargs="*", type=Path, default=[], help="other pictures to try")
    asked = parser.parse_args()
    main(asked.weights, asked.pictures, asked.also)
