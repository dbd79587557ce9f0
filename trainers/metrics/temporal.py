"""Temporal flicker: what changes from frame to frame although the reference does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.base import Metric, Pixels
from trainers.losses.motion import warp
from trainers.metrics.pixels import Floats, inside, luma

FLICKER = Metric("flicker", "levels", "min")


def flicker(
    prediction: Sequence[Pixels],
    reference: Sequence[Pixels],
    *,
    flow: NDArray[np.floating] | None,
    border: int = 0,
) -> float:
    """Mean absolute difference between the change of the prediction and that of the reference.

    The change is the luma of a frame less that of the frame before, warped into its place. A
    sequence that is wrong by the same amount in every frame has no flicker; 1 means that a pixel
    changes by one level per frame more, or less, than it should.

    Args:
        prediction: frames, (H, W, 3) each, two or more.
        reference: as many.
        flow: motion between successive frames, (T - 1, 2, H, W) in pixels, as
            `losses.motion.warp` reads it: known, or from `estimate_motion`. None compares frames
            in place, for a camera that stands still.
        border: pixels left out on every side.

    Returns:
        Levels of 255, over all frames and all pixels whose source lies inside the picture.

    Raises:
        ValueError: the sequences do not fit each other, or are too short.
    """
    if len(prediction) != len(reference) or len(prediction) < 2:
        raise ValueError(
            f"{len(prediction)} frames against {len(reference)}: flicker needs as many of both, "
            "two or more"
        )
    errors = [luma(p) - luma(r) for p, r in zip(*_fitting(prediction, reference), strict=True)]
    total = count = 0.0
    for step, (before, now) in enumerate(zip(errors, errors[1:], strict=False)):
        moved, seen = (before, np.ones_like(before)) if flow is None else _warp(before, flow[step])
        window = (slice(border, -border or None),) * 2
        total += float((np.abs(now - moved) * seen)[window].sum())
        count += float(seen[window].sum())
    if not count:
        raise ValueError("no pixel stays inside the picture from one frame to the next")
    return total / count


def estimate_motion(frames: Sequence[Pixels]) -> NDArray[np.float32]:
    """Dense motion between successive frames, for sequences that come without.

    Source: Le Besnerais & Champagnat, "Dense optical flow by iterative local window
    registration", 2005, as scikit-image has it. Estimate it on the reference, not on what is
    judged, so that all are judged along the same motion.

    Args:
        frames: (H, W, 3) each, two or more.

    Returns:
        (T - 1, 2, H, W) in pixels, for `flicker`.
    """
    from skimage.registration import optical_flow_ilk

    greys = [(luma(frame) / 255).astype(np.float32) for frame in frames]
    flows = []
    for before, now in zip(greys, greys[1:], strict=False):
        estimate: Any = optical_flow_ilk
        down, across = estimate(now, before, radius=7, num_warp=10, dtype=np.float32)
        flows.append(np.stack((across, down)))
    return np.stack(flows)


def _fitting(
    prediction: Sequence[Pixels], reference: Sequence[Pixels]
) -> tuple[list[Pixels], list[Pixels]]:
    pairs = [inside(p, r, 0) for p, r in zip(prediction, reference, strict=True)]
    return [p for p, _ in pairs], [r for _, r in pairs]


def _warp(image: Floats, flow: NDArray[np.floating]) -> tuple[Floats, Floats]:
    moved, seen = warp(
        torch.from_numpy(image)[None, None], torch.from_numpy(np.asarray(flow, np.float64))[None]
    )
    return moved[0, 0].numpy(), seen[0, 0].numpy()
