"""Antialiasing: a renderer's frames of one sample a pixel, as many samples would show them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainers.data.rendered.edge_filter import soften_edges
from trainers.tasks.temporal_upsampling import TemporalUpsampling


class Antialiasing(TemporalUpsampling):
    """The same at the size that comes in; with `memory: none` each frame is seen by itself."""

    baseline_name = "edge filter"
    scales = (1,)

    def _enlarged(self, colour: NDArray[np.float32]) -> NDArray[np.float32]:
        return soften_edges(colour)
