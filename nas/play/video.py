"""Video files through PyAV (FFmpeg): frames out, enlarged frames back in, all else copied."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.play.base import Unplayable
from trainers.data.files import printable
from trainers.data.video import VIDEO_SUFFIXES

__all__ = ["VIDEO_SUFFIXES", "WEBCAM", "Facts", "Source", "Writer", "opened", "writing"]
WEBCAM = "webcam"
_CAMERA = Path("/dev/video0")
_X264 = ("libx264", {"crf": "16", "preset": "veryfast"})
_VP9 = ("libvpx-vp9", {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "5"})
_KINDS = {
    ".mp4": ("mp4", *_X264), ".m4v": ("mp4", *_X264), ".mov": ("mov", *_X264),
    ".mkv": ("matroska", *_X264), ".webm": ("webm", *_VP9), ".avi": ("avi", *_X264),
    ".ts": ("mpegts", *_X264),
}  # fmt: skip
"""What is written by what a file is called: container, codec and its settings."""
_COPIED = ("audio", "subtitle")
_TAGS = ("color_range", "color_primaries", "color_trc", "colorspace")


@dataclass(frozen=True)
class Facts:
    """What is known of a video before it is decoded.

    Attributes:
        pixels: FFmpeg's name of the pixel format.
        rate: frames a second.
        frames: how many, None where nothing tells.
        full_range: whether luma goes from 0 to 255.
    """

    width: int
    height: int
    pixels: str
    rate: Fraction
    frames: int | None
    full_range: bool


@dataclass(frozen=True)
class Source:
    """A video that is open.

    Attributes:
        container: PyAV's.
        stream: its first video stream.
    """

    container: Any
    stream: Any
    facts: Facts

    def items(self) -> Iterator[Any]:
        """Every frame, and every packet that is copied, as the file has them one after another.

        Raises:
            Unplayable: the file is damaged.
        """
        streams = [self.stream, *copied(self.container)]
        try:
            for packet in self.container.demux(streams):
                if packet.stream is self.stream:
                    yield from packet.decode()
                elif packet.dts is not None:
                    yield packet
        except pyav().FFmpegError as error:
            raise Unplayable(f"the video cannot be decoded on: {_words(error)}") from error


def pyav() -> ModuleType:
    """PyAV.

    Raises:
        Unplayable: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise Unplayable("videos need PyAV: pip install 'freeway-nas[video]'") from error
    return av


def copied(container: Any) -> list[Any]:
    """The streams that go into what is written as they are."""
    return [stream for stream in container.streams if stream.type in _COPIED]


@contextmanager
def opened(what: str | Path, *, threads: int) -> Iterator[Source]:
    """Open a video, or the camera where it is `webcam`.

    Args:
        threads: of the decoder.

    Raises:
        Unplayable: there is no such thing, or no video inside.
    """
    av = pyav()
    path, kind, name = _place(what)
    try:
        container = av.open(path, format=kind)
    except (av.FFmpegError, OSError) as error:
        raise Unplayable(f"{name} is no video that can be read: {_words(error)}") from error
    with container:
        if not container.streams.video:
            raise Unplayable(f"{name} has no video stream")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        stream.thread_type = "AUTO"
        yield Source(container, stream, _facts(stream, container))


def _place(what: str | Path) -> tuple[str, str | None, str]:
    """What PyAV opens, as which format, and what it is called."""
    if str(what) != WEBCAM:
        return str(what), None, printable(what)
    if sys.platform == "darwin":
        return "default", "avfoundation", "the webcam"
    if not _CAMERA.exists():
        raise Unplayable(f"there is no webcam here (no {_CAMERA}): name a picture, a folder or a "
                         "video")  # fmt: skip
    return str(_CAMERA), "v4l2", "the webcam"


def _facts(stream: Any, container: Any) -> Facts:
    rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    seconds = None
    if stream.duration is not None:
        seconds = stream.duration * stream.time_base
    elif container.duration is not None:
        seconds = Fraction(container.duration, 1_000_000)
    frames = stream.frames or (None if seconds is None else round(seconds * rate))
    context = stream.codec_context
    full = context.color_range == 2 or str(context.pix_fmt).startswith("yuvj")
    return Facts(
        context.width, context.height, context.pix_fmt or "", rate, frames or None, full
    )


class Writer:
    """A video that is being written: frames are encoded, packets of other streams copied."""

    def __init__(self, container: Any, source: Source, settings: tuple[str, dict[str, str]],
                 threads: int) -> None:  # fmt: skip
        """Prepare the streams; nothing is written before the first frame tells its size."""
        self._source, self._container, self._threads = source, container, threads
        codec, options = settings
        self._stream = container.add_stream(codec, rate=source.facts.rate, options=options)
        try:
            self._copies = {
                stream.index: container.add_stream_from_template(stream)
                for stream in copied(source.container)
            }
        except (pyav().FFmpegError, ValueError) as error:
            raise self._not_together(error) from error
        for ours, theirs in zip(self._copies.values(), copied(source.container), strict=True):
            ours.metadata.update(theirs.metadata)
        container.metadata.update(source.container.metadata)
        self._waiting: list[Any] = []
        self._begun = False

    @property
    def pixels(self) -> str:
        """The pixel format that is written: the source's where the codec has it."""
        wanted = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
        pixels = wanted.get(self._source.facts.pixels, self._source.facts.pixels)
        known = {f.name for f in self._stream.codec_context.codec.video_formats or ()}
        return pixels if pixels in known and "rgb" not in pixels else "yuv420p"

    def add(self, frame: Any, *, made_of: Any) -> None:
        """Encode a frame, which has its time.

        Args:
            made_of: the decoded one, which says how it is turned when it is shown.
        """
        if not self._begun:
            self._begin(frame, made_of.rotation)
        self._container.mux(self._stream.encode(frame))

    def copy(self, packet: Any) -> None:
        """Copy a packet of another stream."""
        if self._begun:
            packet.stream = self._copies[packet.stream.index]
            self._container.mux(packet)
        else:
            self._waiting.append(packet)

    def _begin(self, frame: Any, rotation: int) -> None:
        theirs, context = self._source.stream, self._stream.codec_context
        context.width, context.height, context.pix_fmt = frame.width, frame.height, self.pixels
        context.time_base = theirs.time_base
        context.thread_count = self._threads
        for tag in _TAGS:
            setattr(context, tag, getattr(theirs.codec_context, tag))
        if theirs.sample_aspect_ratio:
            context.sample_aspect_ratio = theirs.sample_aspect_ratio
        if self._source.facts.full_range:
            context.color_range = 2
        if rotation:
            self._stream.set_display_rotation(rotation)
        try:
            self._container.start_encoding()
        except (pyav().FFmpegError, ValueError) as error:
            raise self._not_together(error) from error
        self._begun = True
        for packet in self._waiting:
            self.copy(packet)
        self._waiting.clear()

    def _not_together(self, error: Exception) -> Unplayable:
        kinds = ", ".join(s.codec_context.name for s in copied(self._source.container))
        besides = f" with {kinds} beside the frames" if kinds else ""
        return Unplayable(
            f"a {self._container.format.name} file{besides} cannot be written "
            f"({_words(error)}): let OUT end in .mkv"
        )

    def end(self) -> None:
        """Write what the encoder still holds."""
        if self._begun:
            self._container.mux(self._stream.encode(None))


@contextmanager
def writing(aside: Path, path: Path, source: Source, *, threads: int) -> Iterator[Writer]:
    """Write a video of what its name says.

    Args:
        aside: where it is written.
        path: what it will be called.
        threads: of the encoder.

    Raises:
        Unplayable: nothing that is written here is called so, or it cannot be encoded.
    """
    av = pyav()
    container, codec, options = kind_of(path)
    try:
        with av.open(str(aside), "w", format=container) as output:
            writer = Writer(output, source, (codec, options), threads)
            yield writer
            writer.end()
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        raise Unplayable(f"{printable(path)} cannot be written: {_words(error)}") from error


def kind_of(path: Path) -> tuple[str, str, dict[str, str]]:
    """Container, codec and settings by a file's name.

    Raises:
        Unplayable: it is no name of a video that is written here.
    """
    if path.suffix.lower() not in _KINDS:
        known = ", ".join(_KINDS)
        raise Unplayable(f"{printable(path)} is no name of a video: let it end in {known}")
    return _KINDS[path.suffix.lower()]


def spare_threads(threads: int) -> int:
    """How many the network leaves to decoder and encoder."""
    return max(1, (os.cpu_count() or 1) - threads)


def _words(error: BaseException) -> str:
    told = getattr(error, "strerror", None) or str(error)
    return " ".join(str(told).split())[:120]
