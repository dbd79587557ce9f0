"""`nas run`: a winner at work, on pictures, folders of them, videos and a camera."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from latency_models.base import PRECISIONS
from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, positive

if TYPE_CHECKING:
    from nas.play.base import Played
    from nas.play.places import Pictures, Video
    from runtime.bundle import Loaded

INTERRUPTED = 130
_HELP = """\
Run a winner of a search, or a network that comes with the package, on pictures or a video.

NETWORK is the folder of a winner (runs/<study>/winners/<id>), that of a run, for its best winner,
or a name that `nas zoo` lists. Left out, it is the best one of the zoo; for a video the best one
that keeps up with it on this machine. IN is a picture (PNG, JPEG, WebP, TIFF or BMP), a folder of
pictures, a video, or `webcam`. OUT is a file or a folder, by what it is called.

examples:
  nas run photo.jpg photo-large.png                          # by the best one of the zoo
  nas run runs/x2-360x640-int8-50ms photo.jpg photo-x2.jpg   # one picture, by the best winner
  nas run runs/x2-360x640-int8-50ms photos enlarged          # a folder; again, to go on with it
  nas run runs/x2-360x640-int8-50ms clip.mp4 clip-x2.mp4     # a video, its sound copied
  nas run runs/x2-360x640-int8-50ms clip.mp4 split.mp4 --compare     # left bicubic, right network
  nas run runs/x2-360x640-int8-50ms clip.mp4 --realtime      # is it fast enough? writes nothing
  nas run runs/x2-360x640-int8-50ms photo.jpg best.png --ensemble --precision fp32
"""
_LATER = """\
Pictures keep 16 bits (in PNG and TIFF), transparency (enlarged bicubically), colour profile and
EXIF, and are turned the way the camera was held. Large ones run in tiles that overlap by as much
as the network sees: no seams, and little memory. Videos keep frame times, sound, subtitles and
colour tags; they are encoded as H.264 (.mp4, .mkv, .mov, .avi, .ts) or VP9 (.webm) and need PyAV:
pip install 'freeway-nas[video]'. Nothing half-written stays, and nothing is replaced without
--force. docs/run.md has more.
"""


def main(arguments: list[str]) -> int:
    """Run the network; return the exit code."""
    from nas.play.base import Unplayable

    try:
        return _run(_parser().parse_args(arguments))
    except (Mistake, Unplayable, ValueError, FloatingPointError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        print("\nstopped; whole files are kept", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas run", usage="nas run [NETWORK] IN [OUT] [options]", description=_HELP, epilog=_LATER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("named", metavar="[NETWORK] IN [OUT]", nargs="+",
        help="see above; OUT may be left out with --realtime")
    add("--compare", action="store_true",
        help="the left half bicubic, the right one the network")
    add("--realtime", action="store_true",
        help="play a video no faster than it is, and tell how many frames would be dropped")
    add("--tile", type=positive, metavar="N",
        help="cut pictures into tiles of at most NxN (default: only those over two megapixels)")
    add("--ensemble", action="store_true",
        help="the mean over eight ways to turn a picture: a little better, eight times the work")
    add("--threads", type=positive, default=1, metavar="N",
        help="of the network's engine, default 1; a video's codec has the other cores")
    add("--engine", choices=("openvino", "onnxruntime"),
        help="default: the one that the winner was timed on")
    add("--precision", choices=PRECISIONS, help="default: the fastest that the winner ships")
    add("--force", action="store_true", help="replace what is there")
    return parser


def _run(options: argparse.Namespace) -> int:
    from nas.play.places import Video, places
    from nas.play.play import How
    from runtime import load

    named, source, to = _named(options.named, realtime=options.realtime)
    if to is None and not options.realtime:
        raise Mistake("OUT is missing: a file or a folder for what is made (nas run --help)")
    job = places(source, to, force=options.force)
    if options.realtime and not isinstance(job, Video):
        raise Mistake(f"--realtime is for videos: {source} has no frame rate")
    ready = partial(
        load, precision=options.precision, engine=options.engine, threads=options.threads,
        tile=options.tile, ensemble=options.ensemble,
    )  # fmt: skip
    if named is None:
        from nas.zoo.fitting import fitting

        network, why = fitting(job, ready)
        print(f"network: {why}", file=sys.stderr)
    else:
        network = ready(named)
    how = How(options.compare, options.realtime, options.threads)
    played = _shown(network, job, how)
    _tell(played, network, options, to)
    for line in played.failures:
        fail(line)
    return fail(f"{len(played.failures)} could not be done") if played.failures else 0


def _named(words: list[str], *, realtime: bool) -> tuple[Path | None, str, str | None]:
    """The bundle, where one was named, what is read, and where what is made goes.

    Raises:
        Mistake: there are too many.
        Unplayable: of three the first is no bundle.
    """
    from nas.play.base import Unplayable
    from nas.play.winner import bundle_of

    if len(words) > 3:
        raise Mistake(f"'{words[3]}' is one too many: NETWORK IN OUT (nas run --help)")
    if len(words) == 1 and not realtime:
        raise Mistake("give IN and OUT: what is read, and a file or a folder for what is made")
    if len(words) == 1:
        return None, words[0], None
    if len(words) == 3:
        return bundle_of(words[0]), words[1], words[2]
    try:
        return bundle_of(words[0]), words[1], None
    except Unplayable:
        if realtime and not Path(words[0]).expanduser().exists() and words[0] != "webcam":
            raise
        return None, words[0], words[1]


def _shown(network: Loaded, job: Pictures | Video, how: object) -> Played:
    """Run it beneath a bar on the terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from nas.play.play import How, play

    assert isinstance(how, How)
    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.1f} a second"),
    )  # fmt: skip
    console = Console(stderr=True)
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=None, rate=0.0)

        def told(done: int, total: int | None) -> None:
            elapsed_s = progress.tasks[0].elapsed or 0.0
            rate = done / elapsed_s if elapsed_s else 0.0
            progress.update(task, completed=done, total=total, rate=rate)

        return play(network, job, how=how, told=told)


def _tell(
    played: Played, network: Loaded, options: argparse.Namespace, to: str | None
) -> None:
    frames, wall_s, alone_s = played.frames, played.wall_s, played.network_s
    kept = f", {played.kept} there already (--force makes them again)" if played.kept else ""
    into = f" in {Path(to)}" if to else ""
    rate = ""
    if frames and wall_s and alone_s:
        rate = (f": {frames / wall_s:.3g} a second, the network alone {frames / alone_s:.3g} "
                f"({network.engine} {network.precision}, {_counted(options.threads, 'thread')})")
    print(f"{_counted(frames, 'frame')} made{into}{kept}{rate}")
    if network.reach.margin is None and options.tile:
        print("tiles overlap by a safe guess: this bundle does not say how far its network sees, "
              "or it sees the whole picture")  # fmt: skip
    if played.dropped is not None:
        print(f"{played.dropped} of {frames} would have been dropped at the video's own rate")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
