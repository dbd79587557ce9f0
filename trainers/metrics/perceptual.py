"""LPIPS of 8-bit pictures, by its paper's protocol."""

from __future__ import annotations

import numpy as np
import torch

from trainers.base import Metric, Pixels
from trainers.features.distance import FeatureDistance
from trainers.metrics.measures import Measure
from trainers.metrics.pixels import inside


def perceptual_measure(distance: FeatureDistance, *, border: int = 0) -> Measure:
    """A distance in a network's features as a metric; less is better.

    Args:
        distance: `features.distance.lpips(...)`, or another, which is then not called LPIPS.
        border: pixels left out on every side. Papers leave out none or the scale; say which.
    """

    def compare(prediction: Pixels, target: Pixels) -> float:
        one, other = inside(prediction, target, border)
        pair = np.ascontiguousarray(np.stack((one, other)).transpose(0, 3, 1, 2))
        device = next(distance.buffers()).device
        images = torch.from_numpy(pair).to(device).float() / 255
        with torch.no_grad():
            value: float = distance(images[:1], images[1:]).item()
        return value

    return Measure(Metric(distance.name, "", "min"), compare)
