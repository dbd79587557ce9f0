"""`nas zoo`: trained networks that come with the package, and how fast they are here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from latency_models.base import PRECISIONS, EngineUnavailable
from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, bench_for, positive, size
from nas.zoo.entries import entries

if TYPE_CHECKING:
    from rich.console import Console

    from latency_models.base import LatencyReport
    from nas.zoo.entries import Entry

_PIPED_WIDTH = 120
_HELP = """\
List the trained networks that come with the package: small enough to be here, found and trained
by this project. A name stands for the network wherever a winner's folder may be given.

examples:
  nas zoo                                    # what there is, with receipts of this machine
  nas zoo --bench                            # time them here, some seconds each
  nas zoo --bench --size 720x1280            # at another input size
  nas run photo.jpg photo-x2.png             # the best one; of a video the best that keeps up
"""
_LATER = """\
Quality is PSNR of the luma in int8, over pictures that training did not see. Times are receipts of
this machine, kept as for `nas bench`; a dash is a network that was not timed here yet.
"""


def main(arguments: list[str]) -> int:
    """Print the table; return the exit code."""
    try:
        return _zoo(_parser().parse_args(arguments))
    except (Mistake, EngineUnavailable) as error:
        return fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas zoo", description=_HELP, epilog=_LATER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--bench", action="store_true", help="time what has no receipt here yet")
    add("--size", type=size, default=(360, 640), metavar="HxW", help="default 360x640")
    add("--engine", default="auto", metavar="NAME", help="as for nas bench")
    add("--precision", choices=PRECISIONS, default="int8", help="default int8")
    add("--threads", type=positive, default=1, metavar="N", help="of the engine, default 1")
    return parser


def _zoo(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    found = entries()
    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    height, width = options.size
    sets = list(found[0].quality) if found else []
    table = Table("network", "makes", "parameters", *(f"{one}, dB" for one in sets),
                  f"{options.precision} here, ms", box=None,
                  caption=f"ms of a picture of {width}x{height} on {options.threads} thread"
                  f"{'' if options.threads == 1 else 's'} of this machine")  # fmt: skip
    for column in table.columns[2:]:
        column.justify = "right"
    receipts = _receipts(found, options, Console(stderr=True))
    for entry, receipt in zip(found, receipts, strict=True):
        table.add_row(
            entry.name, entry.what, f"{entry.parameters:,}",
            *(f"{entry.quality[one]['int8']:.2f}" for one in sets),
            "-" if receipt is None else f"{receipt.median_ms:.1f} ({receipt.verdict})",
        )
    if found:
        first = found[0]
        bicubic = (f"{first.quality[one]['bicubic']:.2f}" for one in sets)
        table.add_row("bicubic, no network", "", "", *bicubic, "", style="dim")
    console.print(table)
    if any(receipt is None for receipt in receipts):
        console.print("not timed on this machine yet: nas zoo --bench", style="dim")
    return 0


def _receipts(
    found: list[Entry], options: argparse.Namespace, beside: Console
) -> list[LatencyReport | None]:
    """A receipt for each network; None where there is none and none was asked for."""
    from nas.measurements.measurement import Questions, measurement_of
    from nas.networks import Form, resolve

    reports: list[LatencyReport | None] = []
    bench = bench_for(
        options.engine, threads=options.threads, keep=True,
        notice=lambda line: (
            beside.print(line, style="dim", markup=False) if options.bench else None
        ),
    )  # fmt: skip
    with bench:
        for entry in found:
            network = resolve(entry.name)
            form = Form(options.precision, options.size, io=network.own.io)
            if options.bench:
                measured = measurement_of(network, form, bench, Questions())
                reports.append(measured.report)
                if measured.report is None:
                    fail(f"{entry.name}: {measured.why}")
            else:
                reports.append(bench.last(network.file(form, bench.named), form.precision))
    return reports
