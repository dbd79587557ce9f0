"""Run a network that a search has left: numpy and one engine, nothing else.

    from runtime import load
    upscale = load("runs/photos/winners/1a2b3c4d")
    large = upscale(frame)

This package imports nothing of the others; they may import it, so that training, judging and
deployment turn pictures into numbers and back by the same lines.
"""

from runtime.bundle import BadBundle, Loaded, load
from runtime.pictures import as_input, as_pixels

__all__ = ["BadBundle", "Loaded", "as_input", "as_pixels", "load"]
