"""Files that players and other programs load: one file here for each format.

A newcomer adds `nas/formats/<name>.py` with a function `write` (`nas.formats.base.Write`) and a
line in `FORMATS`; `tests/contracts/test_formats.py` then asks for its reader.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.formats.base import Write

FORMATS = {
    "mpv": "a user shader for mpv and libplacebo (--glsl-shaders): NAME.glsl, runs on any GPU",
    "vsmlrt": "ONNX as vs-mlrt and other programs take it, numbers in [0, 1], of any size: "
    "NAME.onnx",
    "ncnn": "ncnn's two files, as Upscayl and realesrgan-ncnn-vulkan take them: NAME.param and "
    "NAME.bin",
}
"""Each format in a line; the module of the same name writes it."""


def writer(name: str) -> Write:
    """The function that writes a format.

    Args:
        name: one of `FORMATS`.
    """
    write: Write = import_module(f"nas.formats.{name}").write
    return write
