"""Video files to frames, through PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from trainers.base import DataError, Pixels
from trainers.data.decode import BrokenImage

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".y4m", ".mpg", ".ts")


def is_video(path: Path) -> bool:
    """Whether a file's name says that it is a video of a known format."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def read_frames(path: Path, *, most: int) -> Iterator[Pixels]:
    """Frames (H, W, 3) of a file's first video stream in the order they are shown, in 8 bits.

    Args:
        path: the file.
        most: frames to decode at most.

    Raises:
        BrokenImage: the file is damaged, or holds no video.
        DataError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"{path} is a video, which takes PyAV to read: pip install 'freeway-nas[video]', "
            "or name a folder of frames"
        ) from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise BrokenImage("no video inside")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in islice(container.decode(stream), most):
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.FFmpegError, ValueError) as error:
        raise BrokenImage(f"cannot be decoded: {' '.join(str(error).split())[:120]}") from error
