"""`nas widths`: how fast one layer is at each feature count, on this device."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latency_models.base import PRECISIONS, EngineUnavailable, LatencyReport
from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, bench_for, positive, size

if TYPE_CHECKING:
    from rich.console import Console

    from nas.measurements.width_sweep import LayerShape, WidthPoint

INTERRUPTED = 130
_PIPED_WIDTH = 120
_REFRESH_PER_S = 4
_BAR = 20
_MOST, _WIDEST = 512, 2**16
_BARS, _MARKS = "", " "
"""Columns without a heading."""

_HELP = """\
Sweep the feature count of one layer and measure what each costs on this device.

Vector units and tensor cores work on blocks of features: past a block's end a count
costs much more than it gives (a cliff). What is worth trying is printed at the end as a
setting for `nas search`.

examples:
  nas widths                                          # dense 3x3, int8, 360x640, 8 to 128
  nas widths --size 180x320 --widths 16:96:16        # a body at half the size
  nas widths --op separable --kernel 5                # depthwise 5x5, then 1x1
  nas widths --precision fp32 --engine onnxruntime    # another engine and precision
  nas widths --plot widths.html --out widths.json     # picture and figures where you want them
"""
_LATER = """\
A layer's own cost is (3 equal layers - 1 layer) / 2. Efficiency is multiply-adds per
second, relative to the best count of the sweep; narrow layers of a fast device are often
bound by memory instead. `?` after a mark: the time is uncertain by more than 10 %, and
the count stays in the setting.
Receipts are kept as for `nas bench`.
"""


def main(arguments: list[str]) -> int:
    """Sweep and print; return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return _widths(options)
    except (Mistake, EngineUnavailable) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        print("\nstopped; what was measured is kept", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    from nas.measurements.width_sweep import OPS

    parser = Parser(
        "nas widths", description=_HELP, epilog=_LATER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--op", choices=OPS, default="conv",
        help="conv (dense), depthwise, pointwise (1x1), separable (depthwise, then 1x1)")
    add("--kernel", type=positive, metavar="K", help="odd; default 3, of pointwise 1")
    add("--widths", type=_range, default=_range("8:128:8"), metavar="FIRST:LAST:STEP",
        help="feature counts, default 8:128:8; or a list, as 12,16,20")
    add("--engine", default="auto", metavar="NAME",
        help="openvino, onnxruntime, inductor, tensorrt or auto; a name is never replaced")
    add("--precision", choices=PRECISIONS, default="int8", help="default int8")
    add("--size", type=size, default=(360, 640), metavar="HxW",
        help="height and width of the layer's input, default 360x640")
    add("--threads", type=positive, default=1, metavar="N", help="of the engine, default 1")
    add("--out", type=Path, metavar="FILE.json", help="write the figures there")
    add("--plot", type=Path, default=Path("widths.svg"), metavar="FILE",
        help="write the picture there, .svg or .html (default widths.svg)")
    add("--no-plot", action="store_true", help="write no picture")
    add("--no-cache", action="store_true", help="measure anew and keep no receipt")
    return parser


def _range(text: str) -> list[int]:
    """`8:128:8` or `12,16,20` as ascending counts."""
    try:
        if ":" in text:
            first, last, *step = (int(part) for part in text.split(":"))
            row = range(first, last + 1, *step)
            counts = list(row[: _MOST + 1])
        else:
            counts = sorted({int(part) for part in text.split(",")})
        if not counts or counts[0] < 1 or len(counts) > _MOST or counts[-1] > _WIDEST:
            raise ValueError
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no row of feature counts: give FIRST:LAST:STEP, as 8:128:8, or a list"
        ) from error
    return counts


def _shape(options: argparse.Namespace) -> LayerShape:
    from nas.measurements.width_sweep import LayerShape

    pointwise = options.op == "pointwise"
    kernel = options.kernel or (1 if pointwise else 3)
    if pointwise and kernel != 1:
        raise Mistake(f"--kernel is {kernel}, but a pointwise convolution is 1x1")
    if kernel % 2 == 0:
        raise Mistake(f"--kernel is {kernel}: give an odd number")
    height, width = options.size
    return LayerShape(options.op, kernel, height, width, options.precision)


def _widths(options: argparse.Namespace) -> int:
    from rich.console import Console

    from nas.measurements.width_sweep import judge, to_json

    plot = None if options.no_plot else options.plot
    if plot is not None and plot.suffix not in (".svg", ".html"):
        raise Mistake(f"--plot is {plot}: end it in .svg or .html")
    for path in filter(None, (plot, options.out)):
        if not path.parent.is_dir():
            raise Mistake(f"there is no folder {path.parent} for {path.name}: make it first")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise Mistake(f"{path} cannot be written: name another place for it")
    shape = _shape(options)
    points, receipt = _measured(shape, options, Console(stderr=True))
    if receipt is None:
        reasons = dict.fromkeys(point.why for point in points)
        return fail(f"nothing could be measured: {'; '.join(reasons)}")
    points = judge(points)
    facts = to_json(shape, points, receipt)
    title = _title(shape, receipt)
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    _print(console, points, title)
    if options.out is not None:
        options.out.write_text(json.dumps(facts, indent=1) + "\n")
        console.print(f"figures: {options.out}", markup=False)
    if plot is not None:
        _write_plot(plot, points, title, facts["override"])
        console.print(f"picture: {plot}", markup=False)
    _print_override(console, facts)
    return 0


def _measured(
    shape: LayerShape, options: argparse.Namespace, beside: Console
) -> tuple[list[WidthPoint], LatencyReport | None]:
    """The points, and one receipt that tells their circumstances; a line says what is at work."""
    from rich.text import Text

    from nas.measurements.width_sweep import sweep

    points, receipt = [], None
    with bench_for(
        options.engine,
        threads=options.threads,
        keep=not options.no_cache,
        notice=lambda words: beside.print(Text(words, style="dim"), soft_wrap=True),
    ) as bench, beside.status("", refresh_per_second=_REFRESH_PER_S) as status:
        count = len(options.widths)
        status.update(f"{options.widths[0]} features (1 of {count})")
        found = sweep(shape, options.widths, bench.latency, engine=bench.named)
        for point, told in found:
            points.append(point)
            receipt = told or receipt
            if len(points) < count:
                following = options.widths[len(points)]
                status.update(f"{following} features ({len(points) + 1} of {count})")
    return points, receipt


def _title(shape: LayerShape, receipt: LatencyReport) -> str:
    threads = "1 thread" if receipt.threads == 1 else f"{receipt.threads} threads"
    where = f"{receipt.device}, {threads}" if receipt.clock != "device" else receipt.device
    return (
        f"{shape.op} {shape.kernel}x{shape.kernel} {shape.precision} at "
        f"{shape.height}x{shape.width}: {receipt.engine}, {where}, {receipt.clock} time"
    )


def _print(console: Console, points: Sequence[WidthPoint], title: str) -> None:
    from rich.text import Text

    from nas.report.columns import fitted
    from nas.report.describe import milliseconds

    console.print(Text(title))
    styles = {"sweet spot": "green", "cliff": "yellow", "no use": "yellow"}
    reasons = list(dict.fromkeys(p.why for p in points if p.why))
    lines: list[dict[str, str | Text]] = []
    for p in points:
        if p.layer_ms is None or p.efficiency is None:
            why = f"[{reasons.index(p.why) + 1}]"
            lines.append({"features": str(p.channels), "one layer": why})
            continue
        style = styles.get(p.mark, "")
        lines.append({
            "features": str(p.channels),
            "one layer": milliseconds(p.layer_ms),
            "+-": f"{100 * p.error_ms / p.layer_ms:.0f} %",
            "ns per MAC": f"{p.ns_per_mac:.3g}",
            "GMAC/s": f"{p.macs / p.layer_ms / 1e6:.3g}",
            "efficiency": f"{100 * p.efficiency:.0f} %",
            _BARS: Text("━" * max(1, round(_BAR * p.efficiency)), style or "blue"),
            _MARKS: Text(p.mark + (" ?" if p.mark and p.is_uncertain else ""), style),
        })
    table, _ = fitted(
        lines, width=console.width, spare=(_BARS, "ns per MAC", "GMAC/s", "+-", "efficiency"),
        left=(_BARS, _MARKS),
    )
    console.print(table)
    for index, reason in enumerate(reasons, 1):
        console.print(Text(f"[{index}] {reason}", style="yellow"), soft_wrap=True)
    vague = sum(p.is_uncertain for p in points)
    if vague > len(points) / 2:
        words = "the machine was not quiet: most times are uncertain by more than 10 %"
        console.print(Text(words, style="yellow"))


def _write_plot(
    path: Path, points: Sequence[WidthPoint], title: str, override: str
) -> None:
    from nas.measurements.width_plot import page, width_plot
    from nas.report.describe import command_line

    picture = width_plot(points, title=title)
    if path.suffix == ".html":
        lines = [f"Worth trying: {command_line('search', override)}"]
        picture = page(picture, title="Feature counts on this device", lines=lines)
    path.write_text(picture, encoding="utf-8")


def _print_override(console: Console, facts: dict[str, object]) -> None:
    from nas.report.describe import command_line

    if facts["widths"]:
        tried = command_line("search", str(facts["override"]))
        console.print(f"worth trying:  {tried}", markup=False, soft_wrap=True)
    else:
        console.print("no count could be told from another: give a larger --size")
