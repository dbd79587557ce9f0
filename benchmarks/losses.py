"""What each loss is worth: one small network, one budget, one table.

    python benchmarks/losses.py [--network ecbsr_m4c16] [--steps 4000] [--seeds 0 1 2]
        [--train ~/photos --val ~/kodak] [--only l1 ssim] [--out table.md]
        [--lpips alex.pth] [--squeezenet squeezenet1_0.pth --plain-input]

Every row is the same network from the same initial weights on the same batches; only what is
minimised differs. Judged on held-out photographs by the papers' protocol: figures of the averaged
weights, mean over the seeds, and what the seeds differ by (largest less smallest) behind PSNR.
LPIPS (AlexNet) needs its two published files. Feature losses use SqueezeNet 1.0 from the file
given, or VGG from the torch hub's cache; rows and columns whose files are missing are named under
the table. The SqueezeNet distance is not LPIPS and is only shown where LPIPS is not. A row that
minimises a network's features should not be judged by the same network alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.signature import OUTPUT
from search_spaces.modules import build
from search_spaces.references.registry import fitting_reference
from search_spaces.skeletons import lower
from trainers.base import Batch, DataError, Diverged, Tensors
from trainers.budget import Budget
from trainers.data.sources import BUNDLED, Sources
from trainers.features.distance import lpips, uncalibrated
from trainers.features.network import FeatureNetwork, own, published
from trainers.fit import fit
from trainers.losses.adversarial import Adversarial
from trainers.losses.base import Term
from trainers.losses.frequency import HFEN, FocalFrequency, Gradient, Laplacian, Sobel
from trainers.losses.luma import Luma
from trainers.losses.perceptual import Content, Perceptual, Style
from trainers.losses.pixel import L1, Charbonnier, SquaredError, TotalVariation
from trainers.losses.structure import SSIM, MultiScaleSSIM
from trainers.losses.terms import Terms
from trainers.metrics.measures import Measure, judge_pictures, picture_measures
from trainers.metrics.perceptual import perceptual_measure
from trainers.tasks.super_resolution import SuperResolution

SHOWN = ("psnr_y", "psnr_rgb", "ssim_y", "ms_ssim_y")
SQUEEZE_LAYERS = ("relu1", "fire3", "fire5", "fire7", "fire9")


class Learned(SuperResolution):
    """Super-resolution whose loss is exchanged; terms that learn do so before each step."""

    terms: Terms

    def loss(self, outputs: Tensors, batch: Batch) -> Tensor:
        """The present terms."""
        prediction = outputs[OUTPUT]
        self.terms.learn(prediction.detach(), batch.truth)
        return self.terms(prediction, batch.truth)


@dataclass(frozen=True)
class Files:
    """Files of weights the user has.

    Attributes:
        squeezenet: of SqueezeNet 1.0, for feature losses and the uncalibrated distance.
        plain_input: whether these weights want [0, 1] as it is, the normalisation inside them.
        lpips: the linear weights of LPIPS on AlexNet.
    """

    squeezenet: Path | None
    plain_input: bool
    lpips: Path | None


@cache
def squeezenet(files: Files) -> FeatureNetwork:
    """SqueezeNet 1.0."""
    if files.squeezenet is None:
        return published("squeezenet1_0")
    if files.plain_input:
        return own("squeezenet1_0", path=files.squeezenet, mean=(0, 0, 0), std=(1, 1, 1))
    return own("squeezenet1_0", path=files.squeezenet)


@cache
def vgg19() -> FeatureNetwork:
    """VGG19 from the torch hub's cache."""
    return published("vgg19")


def recipes(files: Files) -> Mapping[str, Callable[[], Mapping[str, Term]]]:
    """Name of a row -> its terms, made when their turn comes: their files may be missing."""
    def beside_l1(term: Callable[[], Term]) -> Callable[[], Mapping[str, Term]]:
        return lambda: {"l1": L1(), "other": term()}

    return {
        "l1": lambda: {"l1": L1()},
        "mse": lambda: {"mse": SquaredError()},
        "charbonnier": lambda: {"charbonnier": Charbonnier()},
        "charbonnier + 0.5 gradient": lambda: {
            "charbonnier": Charbonnier(), "gradient": Gradient(weight=0.5),
        },
        "0.1 l1 + luma's l1": lambda: {"l1": L1(weight=0.1), "luma": Luma(of=L1())},
        "l1 + luma's l1": beside_l1(lambda: Luma(of=L1())),
        "luma's l1": lambda: {"luma": Luma(of=L1())},
        "l1 + 0.5 sobel": beside_l1(lambda: Sobel(weight=0.5)),
        "l1 + 0.1 laplacian": beside_l1(lambda: Laplacian(weight=0.1)),
        "l1 + 0.5 hfen": beside_l1(lambda: HFEN(weight=0.5)),
        "l1 + focal frequency": beside_l1(FocalFrequency),
        "l1 + 0.01 tv": beside_l1(lambda: TotalVariation(weight=0.01)),
        "ssim": lambda: {"ssim": SSIM()},
        "0.16 l1 + 0.84 ms-ssim (3 scales)": lambda: {
            "l1": L1(weight=0.16), "ms_ssim": MultiScaleSSIM(weight=0.84, scales=3),
        },
        "l1 + 0.01 content (vgg19)": beside_l1(
            lambda: Content(weight=0.01, network=vgg19(), layers={"relu2_2": 1.0, "relu5_4": 1.0})
        ),
        "l1 + 1e-4 content (squeezenet)": beside_l1(
            lambda: Content(weight=1e-4, network=squeezenet(files), layers={"fire3": 1.0})
        ),
        "l1 + 0.02 unit content (squeezenet)": beside_l1(
            lambda: Perceptual(
                weight=0.02, distance=uncalibrated(squeezenet(files), SQUEEZE_LAYERS)
            )
        ),
        "l1 + 1e-4 style (squeezenet)": beside_l1(
            lambda: Style(weight=1e-4, network=squeezenet(files), layers={"fire3": 1.0})
        ),
        "l1 + 0.1 lpips (alexnet)": beside_l1(
            lambda: Perceptual(weight=0.1, distance=lpips("alexnet", linear=files.lpips))
        ),
        "l1 + 0.005 adversarial": beside_l1(lambda: Adversarial(weight=0.005)),
    }  # fmt: skip


def perceptual(files: Files, notes: list[str]) -> list[Measure]:
    """LPIPS where its files are, else the uncalibrated distance where its file is."""
    try:
        return [perceptual_measure(lpips("alexnet", linear=files.lpips))]
    except DataError as error:
        notes.append(f"no LPIPS: {error}")
    try:
        return [perceptual_measure(uncalibrated(squeezenet(files), SQUEEZE_LAYERS))]
    except DataError as error:
        notes.append(f"no SqueezeNet distance: {error}")
    return []


def trained(
    task: Learned, terms: Terms, options: argparse.Namespace, seed: int, measures: list[Measure]
) -> dict[str, float]:
    """Train one network from scratch and judge it."""
    architecture = fitting_reference(
        options.network, scale=task.scale, in_channels=3, out_channels=3
    )
    network = build(lower(architecture), seed=seed)
    budget = Budget(
        max_steps=options.steps, batch_size=options.batch, learning_rate=options.learning_rate
    )
    task.terms = terms.for_training(seed)
    began = time.monotonic()
    fit(network, task, budget, seed=seed)
    seconds = time.monotonic() - began

    def run(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            output: NDArray[np.float32] = network(torch.from_numpy(inputs)).numpy()
        return output

    return {**judge_pictures(run, task.examples(), measures), "train_s": seconds}


def row(name: str, figures: list[dict[str, float]]) -> str:
    """One line of the table: means, and what the seeds differ by in PSNR."""
    cells = [name]
    for key in figures[0]:
        values = [figure[key] for figure in figures]
        mean = float(np.mean(values))
        decimals = {"train_s": 0}.get(key, 2 if key.startswith("psnr") else 4)
        cell = f"{mean:.{decimals}f}"
        if key == "psnr_y" and len(values) > 1:
            cell += f" ({max(values) - min(values):.2f})"
        cells.append(cell)
    return "| " + " | ".join(cells) + " |"


def table(options: argparse.Namespace) -> str:
    """Train every row and write the table in Markdown."""
    files = Files(options.squeezenet, options.plain_input, options.lpips)
    sources = Sources(options.train, options.val)
    task = Learned(scale=options.scale, data=sources, crop=options.crop, multiple=options.multiple)
    notes: list[str] = []
    measures = [m for m in picture_measures(border=task.scale) if m.metric.name in SHOWN]
    measures += perceptual(files, notes)
    names = [measure.metric.name for measure in measures]
    lines = [
        f"{options.network}, x{task.scale}, {options.steps} steps of {options.batch} crops of "
        f"{options.crop}, seeds {' '.join(map(str, options.seeds))}, "
        f"{len(task.examples())} pictures; bicubic {task.baseline():.2f} dB",
        "",
        f"| loss | {' | '.join(names)} | train_s |",
        "|---" * (len(names) + 2) + "|",
    ]
    for name, make in recipes(files).items():
        if options.only and not any(part in name for part in options.only):
            continue
        try:
            terms = Terms(make())
            figures = [trained(task, terms, options, s, measures) for s in options.seeds]
        except (DataError, Diverged) as error:
            notes.append(f"no row `{name}`: {error}")
            continue
        lines.append(row(name, figures))
        print(lines[-1], flush=True)
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


def main() -> None:
    """Read the arguments, train, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add: Any = parser.add_argument
    add("--network", default="ecbsr_m4c16", help="a published network")
    add("--scale", type=int, default=2)
    add("--steps", type=int, default=4000)
    add("--batch", type=int, default=8)
    add("--crop", type=int, default=32, help="of the input, pixels")
    add("--learning-rate", type=float, default=4e-3)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--train", default=BUNDLED, help="folder of photographs")
    add("--val", default=None, help="folder of photographs")
    add("--multiple", type=int, default=4, help="1 for the numbers of the papers")
    add("--only", nargs="*", default=[], help="rows that have one of these in their name")
    add("--lpips", type=Path, help="alex.pth of the lpips package, version 0.1")
    add("--squeezenet", type=Path, help="weights of SqueezeNet 1.0")
    add("--plain-input", action="store_true", help="they want [0, 1], not ImageNet's mean 0")
    add("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = table(options)
    print("\n" + text, end="")
    if options.out is not None:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
