"""Denoising: undo what a sensor adds, judged by PSNR over all channels."""

from __future__ import annotations

from trainers.base import DataError, Example, Loss, Metric, Pixels
from trainers.data.degradations.base import Degradation
from trainers.data.degradations.noise import GaussianNoise
from trainers.data.sources import Sources
from trainers.metrics import psnr_rgb
from trainers.tasks.super_resolution import SuperResolution

SIGMA = 25.0
"""The papers' middle strength, in levels of 8 bits (Zhang et al., "Beyond a Gaussian Denoiser",
IEEE TIP 2017)."""


class Denoising(SuperResolution):
    """Give back clean photographs of noisy ones, in RGB, their luma or a decoder's planes.

    Inputs are clean photographs with noise of its own at every training step, rounded to 8 bits;
    those to judge by have the same noise at every call.
    """

    metric = Metric("psnr", "dB", "max")
    baseline_name = "noisy input"

    def __init__(
        self,
        *,
        scale: int = 1,
        data: Sources | None = None,
        crop: int = 48,
        multiple: int = 16,
        seed: int = 0,
        loss: Loss | None = None,
        degradation: Degradation | None = None,
        planes: str = "rgb",
    ) -> None:
        """Read the pictures.

        Args:
            scale: 1; spaces and skeletons ask a task for it.
            data: where the photographs are; the bundled ones when None.
            crop: height and width of a training input.
            multiple: both sides of every validation input are a multiple of it.
            seed: of the split, the noise of the validation pictures and the calibration crops.
            loss: what is minimised; the squared error when None.
            degradation: what makes an input of a photograph, its rounding to 8 bits left out;
                white Gaussian noise of sigma 25 when None.
            planes: `rgb`, `luma` or `ycbcr420`, taken from both pictures after the noise.

        Raises:
            DataError: the scale is another one, or as in `SuperResolution`.
        """
        if scale != 1:
            raise DataError(f"task.scale is {scale}: denoising keeps the size, 1 is needed")
        super().__init__(
            scale=1,
            data=data,
            crop=crop,
            multiple=multiple,
            seed=seed,
            loss=loss,
            degradation=degradation or GaussianNoise((SIGMA, SIGMA)),
            planes=planes,
        )

    def judge(self, output: Pixels, example: Example) -> float:
        """PSNR of a picture over its channels, dB; no border is left out."""
        return psnr_rgb(output, example.high, border=0)

    def unaided(self, example: Example) -> Pixels:
        """What there is without a network: the noisy picture itself."""
        return example.low
