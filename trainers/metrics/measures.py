"""Several metrics over the same pictures, each with its name and direction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from runtime import as_input
from trainers.base import Example, Metric, PictureRun, Pixels
from trainers.metrics.fidelity import (
    credited,
    ms_ssim_rgb,
    ms_ssim_y,
    psnr_rgb,
    psnr_y,
    ssim_rgb,
    ssim_y,
)
from trainers.metrics.pixels import to_pixels

PSNR_Y = Metric("psnr_y", "dB", "max")
PSNR_RGB = Metric("psnr_rgb", "dB", "max")
SSIM_Y = Metric("ssim_y", "", "max")
SSIM_RGB = Metric("ssim_rgb", "", "max")
MS_SSIM_Y = Metric("ms_ssim_y", "", "max")
MS_SSIM_RGB = Metric("ms_ssim_rgb", "", "max")


@dataclass(frozen=True)
class Measure:
    """A metric and how it is computed.

    Attributes:
        compare: prediction and target, (H, W, 3) each -> the value.
    """

    metric: Metric
    compare: Callable[[Pixels, Pixels], float]


def picture_measures(*, border: int) -> tuple[Measure, ...]:
    """PSNR, SSIM and MS-SSIM of luma and of RGB, `border` pixels left out on every side.

    PSNR of a picture counts `fidelity.MOST_DB` at most.
    """
    functions = {
        PSNR_Y: psnr_y,
        PSNR_RGB: psnr_rgb,
        SSIM_Y: ssim_y,
        SSIM_RGB: ssim_rgb,
        MS_SSIM_Y: ms_ssim_y,
        MS_SSIM_RGB: ms_ssim_rgb,
    }

    def bound(function: Callable[..., float]) -> Callable[[Pixels, Pixels], float]:
        return lambda prediction, target: function(prediction, target, border=border)

    def limited(function: Callable[..., float]) -> Callable[[Pixels, Pixels], float]:
        return lambda prediction, target: credited(function(prediction, target, border=border))

    return tuple(
        Measure(metric, limited(function) if metric.unit == "dB" else bound(function))
        for metric, function in functions.items()
    )


def judge_pictures(
    run: PictureRun, examples: Iterable[Example], measures: Sequence[Measure]
) -> dict[str, float]:
    """Mean of each measure over the pictures, by its name.

    Args:
        run: a module or an exported engine, (1, 3, h, w) -> (1, 3, H, W), in [0, 1].
        examples: at least one.
        measures: what to compute.

    Raises:
        FloatingPointError: an output is not finite.
        ValueError: there is no picture, or one is too small for a measure.
    """
    values: dict[str, list[float]] = {measure.metric.name: [] for measure in measures}
    for example in examples:
        picture = to_pixels(run(as_input(example.low)))
        for measure in measures:
            values[measure.metric.name].append(measure.compare(picture, example.high))
    if not all(values.values()):
        raise ValueError("there is no picture to judge")
    return {name: float(np.mean(each)) for name, each in values.items()}
