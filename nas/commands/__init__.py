"""The command line: one file per verb, imported only when it is called."""

from __future__ import annotations

import importlib
import sys

VERBS = {
    "search": "find the best network under a latency limit",
    "train": "train one network with a full schedule: a published one, or an architecture",
    "bench": "time networks on engines, untrained: published ones, ONNX files, your modules",
    "show": "a network layer by layer: work, memory, what is possible here at best, a drawing",
    "widths": "which feature counts this device runs well, and which it wastes time on",
    "status": "what a study is at: workers, funnel, front, failures",
    "dashboard": "look at a study in a browser",
    "measure-worker": "time networks here for trainers that lack this device",
    "doctor": "what this machine can time, and whether TensorRT would take a file",
}
USER_ERROR = 2

_HELP = """\
usage: nas <command> [...]

Find neural networks that are fast enough for real time: each candidate is compiled
untrained by the engine it will ship on and timed; only fast ones are trained.

commands:
{verbs}

`nas <command> --help` explains one.  First steps: nas search
"""


def main() -> int:
    """Run one command and return its exit code: 0, or 2 for what the user can mend."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        verbs = "\n".join(f"  {name:14s} {what}" for name, what in VERBS.items())
        print(_HELP.format(verbs=verbs), end="")
        return 0
    verb = arguments[0]
    if verb not in VERBS:
        return fail(f"unknown command '{verb}'; there are: {', '.join(VERBS)}")
    module = importlib.import_module(f"nas.commands.{verb.replace('-', '_')}")
    code: int = module.main(arguments[1:])
    return code


def entry() -> None:
    """What the console command calls."""
    raise SystemExit(main())


def fail(message: str) -> int:
    """Print one line on the error stream and return the exit code for it."""
    print(f"nas: {' '.join(message.split())}", file=sys.stderr)
    return USER_ERROR
