"""How results are judged, by the protocol of the papers; on arrays, wherever they come from.

A picture is clipped and rounded to 8 bits first: what an exported engine puts out and what the
module puts out are judged alike. Nothing here needs torch; `perceptual` and `temporal` do.
"""

from trainers.metrics.fidelity import (
    credited,
    ms_ssim_rgb,
    ms_ssim_y,
    psnr_rgb,
    psnr_y,
    ssim_rgb,
    ssim_y,
)
from trainers.metrics.labels import top1
from trainers.metrics.measures import Measure, judge_pictures, picture_measures
from trainers.metrics.pixels import luma, to_pixels

__all__ = [
    "Measure", "credited", "judge_pictures", "luma", "ms_ssim_rgb", "ms_ssim_y",
    "picture_measures", "psnr_rgb", "psnr_y", "ssim_rgb", "ssim_y", "to_pixels", "top1",
]  # fmt: skip
