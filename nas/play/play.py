"""A network over pictures or a video: reading, network and writing at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.durable import made_aside
from nas.play.base import Played, Told, Unplayable
from nas.play.frames import Passage
from nas.play.overlap import ahead, behind
from nas.play.pictures import (
    Picture,
    compared,
    enlarged,
    for_network,
    read_picture,
    write_picture,
)
from nas.play.places import Pictures, Video
from nas.play.video import WEBCAM, Source, opened, pyav, spare_threads, writing
from runtime.bundle import Loaded
from runtime.pictures import Levels

_FRAMES, _PICTURES = 8, 2
"""So many wait between two threads."""


@dataclass(frozen=True)
class How:
    """What is asked for beside the frames.

    Attributes:
        compare: the left half is to be the plain bicubic enlargement.
        realtime: no faster than the source's rate, and count what would have been late.
        threads: of the network; the codec has the others.
    """

    compare: bool = False
    realtime: bool = False
    threads: int = 1


def play(network: Loaded, job: Pictures | Video, *, how: How, told: Told) -> Played:
    """Run a network over pictures or a video.

    Raises:
        Unplayable: something cannot be read or written; of several pictures the others are made.
        ValueError: the network does not fit what was given.
        FloatingPointError: what it gave has values that are not finite.
    """
    if not network.makes_frames:
        takes = ", ".join(port.name for port in network.signature.given)
        gives = ", ".join(port.name for port in network.signature.outputs)
        raise Unplayable(f"{network.folder} takes {takes} and gives {gives}: only networks that "
                         "make a picture of a picture can be run here")  # fmt: skip
    if isinstance(job, Pictures):
        return _over_pictures(network, job, how, told)
    with opened(job.source, threads=spare_threads(how.threads)) as source:
        return _over_video(network, source, job, how, told)


class _Clock:
    """Seconds in the network, which begin when a frame is handed to it."""

    def __init__(self) -> None:
        self.began_s = self.handed_s = time.perf_counter()
        self.network_s, self.frames = 0.0, 0

    def hand(self) -> None:
        self.handed_s = time.perf_counter()

    def back(self) -> None:
        self.network_s += time.perf_counter() - self.handed_s
        self.frames += 1

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self.began_s


def _over_pictures(network: Loaded, job: Pictures, how: How, told: Told) -> Played:
    clock, failures = _Clock(), list[str]()
    now: list[tuple[Path, Picture]] = []
    todo = job.to_read(from_the_first=bool(network.signature.carried))

    def read() -> Iterator[tuple[Path, Picture | Unplayable]]:
        for path, to in todo:
            try:
                yield to, read_picture(path)
            except Unplayable as error:
                yield to, error

    def given() -> Iterator[Levels]:
        for to, picture in coming:
            if isinstance(picture, Unplayable):
                failures.append(str(picture))
                continue
            now[:] = [(to, picture)]
            clock.hand()
            yield for_network(picture)

    def write(what: tuple[Path, Picture, Levels]) -> None:
        to, picture, made = what
        if to in job.there:
            return
        try:
            made = compared(for_network(picture), made) if how.compare else made
            write_picture(to, enlarged(picture, made))
        except Unplayable as error:
            failures.append(str(error))

    coming = ahead(read(), depth=_PICTURES)
    with closing(coming), behind(write, depth=_PICTURES) as hand:
        for made in network.frames(given()):
            clock.back()
            to, picture = now.pop()
            hand((to, picture, made))
            told(clock.frames, len(todo))
            del picture, made
    if failures and len(job.pairs) == 1:
        raise Unplayable(failures[0])
    kept, told_of = len(job.there), tuple(failures)
    return Played(clock.frames, clock.network_s, clock.wall_s, kept=kept, failures=told_of)


def _over_video(
    network: Loaded, source: Source, job: Video, how: How, told: Told
) -> Played:
    spare, facts = spare_threads(how.threads), source.facts
    pace = _Pace(source) if how.realtime else None
    now: list[tuple[Any, Levels]] = []
    with ExitStack() as stack:
        writer = None
        if job.to is not None:
            aside = stack.enter_context(made_aside(job.to))
            writer = stack.enter_context(writing(aside, job.to, source, threads=spare))
        passage = Passage.between(network, facts, writer.pixels if writer else facts.pixels)
        # Compiles it, so that the first frame takes no longer than the others.
        next(network.frames([passage.blank(facts)]))
        clock = _Clock()

        def read() -> Iterator[tuple[Any, Levels | None]]:
            for item in source.items():
                is_frame = isinstance(item, pyav().VideoFrame)
                yield item, passage.entering(item) if is_frame else None

        def write(what: tuple[Any, Levels | None, Levels | None]) -> None:
            item, given, made = what
            if writer is None:
                return
            if made is None or given is None:
                writer.copy(item)
                return
            frame = passage.leaving(made, item, compare=how.compare, given=given)
            writer.add(frame, made_of=item)

        def given() -> Iterator[Levels]:
            for item, levels in coming:
                if levels is None:
                    hand((item, None, None))
                    continue
                if item.pts is None:
                    item.pts = round(clock.frames / facts.rate / source.stream.time_base)
                    item.time_base = source.stream.time_base
                now[:] = [(item, levels)]
                if pace is not None:
                    pace.wait_for(float(item.pts * item.time_base))
                clock.hand()
                yield levels

        coming = stack.enter_context(closing(ahead(read(), depth=_FRAMES)))
        with behind(write, depth=_FRAMES) as hand:
            try:
                for made in network.frames(given()):
                    clock.back()
                    item, levels = now.pop()
                    hand((item, levels, made))
                    if pace is not None:
                        pace.done(clock.handed_s)
                    told(clock.frames, facts.frames)
            except KeyboardInterrupt:
                if job.source != WEBCAM:
                    raise
        if clock.frames == 0:
            raise Unplayable(f"{job.source} holds no frames")
    dropped = None if pace is None else pace.dropped(1 / float(facts.rate))
    return Played(clock.frames, clock.network_s, clock.wall_s, dropped=dropped)


class _Pace:
    """Lets frames through at the source's rate, and keeps when each came and how long it took."""

    def __init__(self, source: Source) -> None:
        self._began_s: float | None = None
        self._first_s = 0.0
        self._live = source.facts.frames is None and source.stream.duration is None
        self.arrivals_s: list[float] = []
        self.took_s: list[float] = []

    def wait_for(self, at_s: float) -> None:
        """Wait until a frame of this time would have come; a camera's comes by itself."""
        if self._began_s is None:
            self._began_s, self._first_s = time.perf_counter(), at_s
        due_s = at_s - self._first_s
        left_s = due_s - (time.perf_counter() - self._began_s)
        if left_s > 0 and not self._live:
            time.sleep(left_s)
        self.arrivals_s.append(due_s)

    def done(self, handed_s: float) -> None:
        """The frame that came last is made."""
        self.took_s.append(time.perf_counter() - handed_s)

    def dropped(self, period_s: float) -> int:
        """How many would have been dropped by a player that shows each in time or not at all."""
        return late(self.arrivals_s, self.took_s, period_s)


def late(arrivals_s: Sequence[float], took_s: Sequence[float], period_s: float) -> int:
    """Frames whose successor has come before anybody could begin with them."""
    free_s, dropped = 0.0, 0
    nexts = [*arrivals_s[1:], (arrivals_s[-1] if arrivals_s else 0.0) + period_s]
    for came_s, following_s, work_s in zip(arrivals_s, nexts, took_s, strict=False):
        if free_s >= following_s:
            dropped += 1
        else:
            free_s = max(free_s, came_s) + work_s
    return dropped
