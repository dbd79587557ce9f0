"""Training throughput of this project's data path against a plain loop over a stock DataLoader.

The same network is trained on the same folder of photographs in both, in one run and in turns, so
that a machine that is busy for a while hurts both alike:

- `stock`: a torch DataLoader with two workers. An item opens and decodes its file with Pillow,
  cuts a random crop, flips and turns it in numpy and reduces it with Pillow's bicubic.
- `house`: `SuperResolution.batch`: files decoded once into a cache, crops cut, turned and reduced
  in torch in the training process.

    python benchmarks/training_data.py [--folder PHOTOS] [--seconds 5] [--rounds 3]

Without `--folder` the bundled photographs are written to a folder of PNG files first.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from trainers.calls import pair
from trainers.data import bundled
from trainers.data.decode import is_image
from trainers.data.sources import BUNDLED, Sources
from trainers.tasks.super_resolution import SuperResolution

Batches = Iterator[tuple[Tensor, Tensor]]
SCALE, CROP, WORKERS = 2, 32, 2


class StockItems(Dataset[tuple[Tensor, Tensor]]):
    """One random crop of one file per item, as tutorials write it."""

    def __init__(self, folder: Path, batches: int, batch_size: int) -> None:
        """List the files; an epoch has so many items that it does not end here."""
        self._files = sorted(path for path in folder.rglob("*") if is_image(path))
        self._length = batches * batch_size

    def __len__(self) -> int:
        """Items."""
        return self._length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Low (3, CROP, CROP) and high (3, CROP * SCALE, CROP * SCALE) in [0, 1]."""
        random = np.random.default_rng(index)
        side = CROP * SCALE
        with Image.open(self._files[int(random.integers(len(self._files)))]) as image:
            pixels = np.asarray(image.convert("RGB"))
        y = int(random.integers(pixels.shape[0] - side + 1))
        x = int(random.integers(pixels.shape[1] - side + 1))
        crop = np.rot90(pixels[y : y + side, x : x + side], int(random.integers(4)))
        crop = np.ascontiguousarray(crop[:, ::-1] if random.integers(2) else crop)
        low = Image.fromarray(crop).resize((CROP, CROP), Image.Resampling.BICUBIC)
        return _to_tensor(np.array(low)), _to_tensor(crop)


def _to_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 255


def network() -> nn.Module:
    """Five convolutions of 16 channels and a pixel shuffle."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(16, 3 * SCALE**2, 3, padding=1), nn.PixelShuffle(SCALE)]
    return nn.Sequential(*layers)


def stock_batches(folder: Path, batch_size: int) -> Batches:
    items = StockItems(folder, 10**6, batch_size)
    return iter(DataLoader(items, batch_size, num_workers=WORKERS))


def house_batches(task: SuperResolution, batch_size: int) -> Batches:
    return (pair(task.batch(step, seed=0, size=batch_size)) for step in count())


def trainer() -> Callable[[tuple[Tensor, Tensor]], None]:
    torch.manual_seed(0)
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

    def step(batch: tuple[Tensor, Tensor]) -> None:
        low, high = batch
        optimizer.zero_grad(set_to_none=True)
        nn.functional.l1_loss(net(low), high).backward()
        optimizer.step()

    return step


def rate(
    batches: Batches, step: Callable[[tuple[Tensor, Tensor]], None], seconds: float
) -> float:
    """Batches per second."""
    for _ in range(2 * WORKERS + 1):
        # Workers work ahead while others are measured: use that up first.
        step(next(batches))
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        step(next(batches))
        done += 1
    return done / elapsed


def measure(folder: Path, *, batch_size: int, seconds: float, rounds: int) -> None:
    """Print both paths side by side."""
    start = time.perf_counter()
    task = SuperResolution(scale=SCALE, crop=CROP, data=Sources(str(folder), BUNDLED))
    print(f"cache opened or built in {time.perf_counter() - start:.2f} s")
    rows: dict[str, list[float]] = {}
    for _ in range(rounds):
        # A loader of its own for every turn, so that its workers rest while the other is timed.
        for what in ("crops delivered", "training steps"):
            for name in ("stock", "house"):
                batches = (
                    stock_batches(folder, batch_size) if name == "stock"
                    else house_batches(task, batch_size)
                )  # fmt: skip
                step = trainer() if what == "training steps" else lambda batch: None
                rows.setdefault(f"{what} {name}", []).append(rate(batches, step, seconds))
                del batches
        fixed = pair(task.batch(0, seed=0, size=batch_size))
        alone = rate((fixed for _ in count()), trainer(), seconds)
        rows.setdefault("no data at all", []).append(alone)
    for what in ("crops delivered", "training steps"):
        stock, house = (statistics.median(rows[f"{what} {name}"]) for name in ("stock", "house"))
        ratios = [h / s for h, s in zip(rows[f"{what} house"], rows[f"{what} stock"], strict=True)]
        times = batch_size if what == "crops delivered" else 1
        spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        print(f"{what} per second: stock {stock * times:.1f}, house {house * times:.1f}, "
              f"ratio {spread}")  # fmt: skip
    house, alone = (
        statistics.median(rows[name]) for name in ("training steps house", "no data at all")
    )
    print(f"steps on one and the same batch: {alone:.1f} per second; "
          f"data takes {max(0.0, 1 - house / alone):.1%} of the house's step")  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak resident memory {peak:.0f} MiB")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads of "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or Path(made)
        if arguments.folder is None:
            for photo in bundled.training_photos():
                Image.fromarray(photo.pixels).save(folder / f"{photo.name}.png")
        measure(
            folder, batch_size=arguments.batch_size, seconds=arguments.seconds,
            rounds=arguments.rounds,
        )  # fmt: skip


if __name__ == "__main__":
    main()
