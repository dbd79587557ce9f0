"""A small video with sound, as a camera leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 64, 48, 25
TIMES = (0, 1, 2, 4, 5, 6, 7, 9, 10, 11)
"""Of the frames, in frames: two are left out, as where a camera's rate varies."""

EXACT = 4 | 0x40000 | 0x2000 | 0x4000
"""FFmpeg's flags for colours that are changed without a bias: bicubic, accurate, full chroma."""


def smooth(k: int) -> NDArray[np.uint8]:
    """A picture whose colours change slowly, another one for each frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    waves = [np.sin((x + 3 * k) / 9), np.cos(y / 7), np.sin((x + y - 2 * k) / 11)]
    return np.asarray(np.stack(waves, axis=-1) * 70 + 120, np.uint8)


def write_video(
    path: Path,
    *,
    times: Sequence[int] = TIMES,
    sound: bool = True,
    pixels: str = "yuv420p",
    rotated: int = 0,
) -> None:
    """Write one, tagged as BT.709; its sound is a tone in AAC."""
    av = pytest.importorskip("av", reason="videos need PyAV")
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "4"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, pixels
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        if rotated:
            video.set_display_rotation(rotated)
        audio = container.add_stream("aac", rate=48000) if sound else None
        for k, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(smooth(k), format="rgb24").reformat(
                format=pixels, dst_colorspace="ITU709", interpolation=EXACT
            )
            frame.pts, frame.time_base = at, Fraction(1, RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for k in range(12 if audio is not None else 0):
            tone = np.sin(np.arange(k * 1024, (k + 1) * 1024) / 20)[None].astype(np.float32)
            heard = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48000, k * 1024, Fraction(1, 48000)
            container.mux(audio.encode(heard))
        if audio is not None:
            container.mux(audio.encode(None))


def seen(path: Path) -> dict[str, Any]:
    """What a player finds in a video."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        frames, sound = [], []
        for packet in container.demux():
            if packet.stream.type == "video":
                frames += packet.decode()
            elif packet.size:
                sound.append((packet.pts, bytes(packet)))
        exact = {"format": "rgb24", "interpolation": EXACT}
        return {
            "times": [frame.pts * frame.time_base for frame in frames],
            "pictures": [frame.to_ndarray(**exact) for frame in frames],
            "pixels": context.pix_fmt,
            "tags": (context.colorspace, context.color_primaries, context.color_trc),
            "rotation": frames[0].rotation,
            "rate": stream.average_rate,
            "sound": sound,
        }
