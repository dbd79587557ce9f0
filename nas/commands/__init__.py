"""The command line: one file per verb, imported only when it is called."""

from __future__ import annotations

import importlib
import sys

from nas.commands.guard import USER_ERROR, fail, guarded, leave

__all__ = ["USER_ERROR", "VERBS", "entry", "fail", "main"]

VERBS = {
    "search": "find the best network under a latency limit",
    "train": "train one network with a full schedule: a published one, or an architecture",
    "prune": "make a trained network smaller and train it on; both side by side",
    "run": "a winner at work: on pictures, folders of them, videos, a camera",
    "verify": "whether a winner's folder is what was exported, and does here what it did there",
    "export": "a winner copied, or written for a player: mpv, VapourSynth, ncnn",
    "zoo": "trained networks that come with the package, and how fast they are here",
    "bench": "time networks on engines, untrained: published ones, ONNX files, your modules",
    "show": "a network layer by layer: work, memory, what is possible here at best, a drawing",
    "widths": "which feature counts this device runs well, and which it wastes time on",
    "status": "what a study is at: workers, funnel, front, failures",
    "dashboard": "look at a study in a browser",
    "measure-worker": "time networks here for trainers that lack this device",
    "doctor": "what this machine can time, and whether TensorRT would take a file",
}

_HELP = """\
usage: nas <command> [...]

Find neural networks that are fast enough for real time: each candidate is compiled
untrained by the engine it will ship on and timed; only fast ones are trained.

commands:
{verbs}

`nas <command> --help` explains one, `nas --version` tells the version.  First steps: nas search
"""


def main() -> int:
    """Run one command and return its exit code: 0, or 2 for what the user can mend."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        verbs = "\n".join(f"  {name:14s} {what}" for name, what in VERBS.items())
        print(_HELP.format(verbs=verbs), end="")
        return 0
    verb = arguments[0]
    if verb in ("--version", "-V", "version"):
        return _tell_version()
    if verb not in VERBS:
        from nas.kinds import meant

        known = list(VERBS)
        return fail(f"unknown command '{verb}'{meant(verb, known)}; there are: {', '.join(known)}")
    module = importlib.import_module(f"nas.commands.{verb.replace('-', '_')}")
    code: int = module.main(arguments[1:])
    return code


def _tell_version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"nas {version('freeway-nas')}")
    except PackageNotFoundError:
        return fail("run from a folder of sources that is not installed, so it has no version")
    return 0


def entry() -> None:
    """What the console command calls."""
    leave(guarded(main))
