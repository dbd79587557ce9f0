"""The ports of networks that work on what a renderer gives, frame after frame."""

from __future__ import annotations

from fractions import Fraction

from runtime.signature import OUTPUT, InvalidSignature, Port, Signature

COLOUR, DEPTH, MOTION, JITTER, HISTORY = "colour", "depth", "motion", "jitter", "history"
REMEMBERED = "remembered"
PICTURE, FEATURES = "picture", "features"
MEMORIES = ("none", PICTURE, FEATURES)
"""What reaches the next frame: nothing, the picture that was made, or features at low size."""
_COLOURS = 3


def moving(scale: int, *, memory: str = PICTURE, hidden: int = 8) -> Signature:
    """A frame's colour, depth, motion and jitter in, and a history; a picture out, and a history.

    - `colour`, RGB of one sample a pixel, in [0, 1].
    - `depth`, 1 / (1 + d) of the distance d along the camera's axis: 1 at the lens, 0 far away.
    - `motion` in pixels, x first: what is at x now was at x + motion in the frame before. That of
      the nearest surface among 3 x 3 pixels, so that outlines move with what is before them.
    - `jitter`, where in its pixel the samples were taken, x and y in [-0.5, 0.5), the same in all
      pixels.
    - `history`, what the network gave as `remembered` for the frame before.

    Args:
        scale: size of the picture over that of the colour.
        memory: one of MEMORIES; a `picture` has the size of the one that is made.
        hidden: channels of `features`.

    Raises:
        InvalidSignature: no such memory.
    """
    if memory not in MEMORIES:
        raise InvalidSignature(f"the memory is '{memory}': use one of {', '.join(MEMORIES)}")
    inputs = (
        Port(COLOUR, _COLOURS),
        Port(DEPTH, 1, kind="map"),
        Port(MOTION, 2, kind="map"),
        Port(JITTER, 2, kind="map"),
    )
    output = Port(OUTPUT, _COLOURS, Fraction(scale))
    if memory == "none":
        return Signature(inputs, (output,))
    channels, size = (_COLOURS, Fraction(scale)) if memory == PICTURE else (hidden, Fraction(1))
    history = Port(HISTORY, channels, size, "state")
    remembered = Port(REMEMBERED, channels, size, "state")
    return Signature((*inputs, history), (output, remembered), {REMEMBERED: HISTORY})
