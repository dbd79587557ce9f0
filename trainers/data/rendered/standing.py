"""A frame that is shown again and again: what is carried has to come to rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.moving import MOTION
from runtime.signature import OUTPUT
from trainers.base import Run
from trainers.data.rendered.clips import RenderedClip
from trainers.data.rendered.stretches import whole_frames

_SIDE = 32
_FRAMES = 100
"""Three seconds of a game. Networks that ran away were off by 0.25 to 0.3 after them, the others
by 0.025 to 0.09."""
_MOST = 0.15


def require_calm(run: Run, clip: RenderedClip) -> None:
    """Refuse a network whose picture runs away over frames in which nothing moves.

    A network that was trained over a few frames may enlarge a little in each what it made before;
    that shows after a second.

    Args:
        clip: its middle is shown, then its last frame.

    Raises:
        FloatingPointError: it does.
    """
    frames = [
        {name: _middle(x) for name, x in frame.items()} for frame in whole_frames(clip)
    ]
    last = {**frames[-1], MOTION: np.zeros_like(frames[-1][MOTION])}
    made = run([*frames, *[last] * _FRAMES])
    first, end = (np.clip(made[at][OUTPUT], 0, 1) for at in (len(frames) - 1, -1))
    apart = float(np.abs(end - first).mean())
    if not apart < _MOST:
        raise FloatingPointError(
            f"the output runs away: after {_FRAMES} frames in which nothing moves it differs by "
            f"{apart:.2f} from what it was, at most {_MOST} is allowed"
        )


def _middle(x: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = x.shape[2:]
    top, left = max(0, (height - _SIDE) // 2), max(0, (width - _SIDE) // 2)
    return np.ascontiguousarray(x[..., top : top + _SIDE, left : left + _SIDE])
