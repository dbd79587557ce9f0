"""`nas verify`: whether a bundle is what was exported, and does here what it did there."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, amount

if TYPE_CHECKING:
    from nas.verify import Check

_HELP = """\
Check bundles, anywhere: every file against its hash, and what the files make of the golden input
on every engine that is installed here against what they made where they were exported.

BUNDLE is the folder of a winner (runs/<study>/winners/<id>), or that of a run, for its best one.

examples:
  nas verify runs/x2-360x640-int8-50ms             # one line for each check; exit code 0, or 1
  nas verify runs/x2-360x640-int8-50ms --time      # its receipts measured again, and compared
"""
_MARKS = {True: "ok", False: "FAILED", None: "-"}


def main(arguments: list[str]) -> int:
    """Print the checks; return 0, 1 where one failed, or 2 where the command is wrong."""
    from nas.play.base import Unplayable
    from nas.play.winner import bundle_of
    from nas.verify import verify
    from trainers.data.files import printable

    try:
        options = _parser().parse_args(arguments)
        if options.slower_by is not None and not options.time:
            raise Mistake("--slower-by needs --time")
        folders = [bundle_of(spec) for spec in options.bundles]
    except (Mistake, Unplayable) as error:
        return fail(str(error))
    within = None if options.slower_by is None else options.slower_by / 100
    failed = False
    for folder in folders:
        if len(folders) > 1:
            print(printable(str(folder)))
        for check in verify(folder, timed=options.time, within=within):
            print(_line(check), flush=True)
            failed |= check.passed is False
    return 1 if failed else 0


def _line(check: Check) -> str:
    told = f"{_MARKS[check.passed]:6s} {check.what}: {check.told}"
    # Names in a folder of others may hold whatever steers a terminal.
    return "".join(c if c.isprintable() else "?" for c in told)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas verify", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="A line that begins with - tells of what could not be looked at here.",
    )
    add = parser.add_argument
    add("bundles", metavar="BUNDLE", nargs="+", help="see above")
    add("--time", action="store_true",
        help="measure the latency of each file again, on the engine of its receipt")
    add("--slower-by", type=amount, metavar="PERCENT",
        help="fail where a file is slower than its receipt by more than this")
    return parser
