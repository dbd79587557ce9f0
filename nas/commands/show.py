"""`nas show`: a network layer by layer, what a device could do with it at best, and a drawing."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from latency_models.base import (
    PRECISIONS,
    CompileError,
    DeviceError,
    EngineUnavailable,
    LatencyReport,
)
from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, bench_for, positive, size

if TYPE_CHECKING:
    from rich.console import Console

    from nas.measurements.benches import Bench
    from nas.measurements.known_peaks import KnownPeaks
    from nas.measurements.layer_table import LayerCost
    from nas.networks import Form, GraphNetwork

INTERRUPTED = 130
_PIPED_WIDTH = 140
_REFRESH_PER_S = 4
_ENGINE_OF_FILES = "openvino"
"""Whose files are counted where no engine can run: they are those of any processor."""

_HELP = """\
Show a network layer by layer: shapes, parameters, multiply-adds (MACs), bytes moved, and the
least time that this device's measured peaks allow (a roofline: an estimate, no latency).

A network is one of
  espcn                          a published network, by its name
  runs/x2/winners/1a2b3c         a winner of a search (its folder, or an architecture's JSON)
  runs/x2/trial-00012            a candidate of a search

examples:
  nas show ecbsr_m4c16                          # the table, int8, 360x640
  nas show espcn --size 720x1280 --scale 3      # another size of the input, another factor
  nas show mobilenet_v2 --precision fp32        # bytes and peaks of another precision
  nas show fsrcnn --svg fsrcnn.svg              # a drawing that fits one printed page
  nas show fsrcnn --no-roofline                 # counted only: nothing is measured, at once
  nas show ecbsr_m4c16 --time                   # time it too, beside the estimate
  nas show espcn --json                         # every layer on its own, for other programs
"""
_LATER = """\
The peaks are measured when they are first asked for (some seconds) and remembered in
$XDG_CACHE_HOME/freeway, else ~/.cache/freeway; --peaks measures again and keeps the better
rates. Equal layers in a row share a line: x4 says how many, and the figures are those of all.
`nas bench` measures how long a network really takes.
"""


@dataclass(frozen=True)
class _Answer:
    """All that is known about a network.

    Attributes:
        paper: of a published network, and in which form it stands here; else empty.
    """

    network: GraphNetwork
    form: Form
    engine: str
    costs: list[LayerCost]
    known: KnownPeaks | None
    measured: LatencyReport | None
    paper: str


def main(arguments: list[str]) -> int:
    """Print the table; return the exit code."""
    try:
        return _show(_parser().parse_args(arguments))
    except (Mistake, EngineUnavailable, CompileError, DeviceError) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas show", description=_HELP, epilog=_LATER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("network", nargs="?", help="see above")
    add("--size", type=size, metavar="HxW",
        help="input height and width (default: the network's own, else 360x640)")
    add("--scale", type=positive, metavar="N",
        help="output size / input size of published networks (default 2 where they have it)")
    add("--precision", choices=PRECISIONS,
        help="in which bytes are counted and peaks measured (default int8; a winner's own)")
    add("--engine", default="auto", metavar="NAME",
        help="whose peaks: openvino, onnxruntime, inductor, tensorrt, or auto (TensorRT where "
        "there is one with a GPU, else OpenVINO); a name is never replaced by another")
    add("--threads", type=positive, default=1, metavar="N", help="of the engine, default 1")
    roofline = parser.add_mutually_exclusive_group()
    roofline.add_argument("--no-roofline", action="store_true", help="count only, measure nothing")
    roofline.add_argument("--peaks", action="store_true",
                          help="measure the device's peaks again, keep the better ones")
    roofline.add_argument("--time", action="store_true", help="measure the latency as well")
    add("--svg", type=Path, metavar="FILE.svg", help="write a drawing there")
    add("--json", action="store_true", help="print JSON, every layer on its own")
    return parser


def _show(options: argparse.Namespace) -> int:
    from rich.console import Console

    if options.svg is not None and options.svg.suffix != ".svg":
        raise Mistake(f"--svg {options.svg}: give a name that ends in .svg")
    network = _resolve(options)
    form = replace(
        network.own,
        size=options.size or network.own.size,
        precision=options.precision or network.own.precision,
    )
    if options.svg is not None:
        _write_drawing(options.svg, network, form)
    answer = _answer(network, form, options, Console(stderr=True))
    if options.json:
        print(json.dumps(_to_json(answer), indent=1))
    else:
        _print(answer)
        if options.svg is not None:
            print(f"drawing: {options.svg}")
    return 0


def _resolve(options: argparse.Namespace) -> GraphNetwork:
    from nas.networks import GraphNetwork, UnknownNetwork, resolve
    from search_spaces.base import InvalidArchitecture, UnknownName
    from search_spaces.references import REFERENCES

    if options.network is None:
        names = ", ".join(sorted(REFERENCES))
        raise Mistake(f"which network? Give a published one ({names}), an architecture's JSON, "
                      "or the folder of a winner or a candidate")
    try:
        network = resolve(options.network, scale=options.scale)
    except (UnknownNetwork, UnknownName, InvalidArchitecture) as error:
        raise Mistake(str(error)) from error
    if not isinstance(network, GraphNetwork):
        raise Mistake(f"{options.network} is no architecture, so its layers are an engine's "
                      f"matter: nas bench {options.network} --layers --roofline shows them")
    return network


def _write_drawing(path: Path, network: GraphNetwork, form: Form) -> None:
    from nas.durable import write_aside
    from nas.report.drawing import drawing_file
    from search_spaces.base import InvalidArchitecture

    height, width = form.size
    try:
        text = drawing_file(network.graph, height=height, width=width, name=network.name)
        write_aside(path, text.encode())
    except InvalidArchitecture as error:
        raise Mistake(f"an input of {form.shape} does not fit: {error}") from error
    except OSError as error:
        raise Mistake(f"cannot write {path} ({error.strerror})") from error


def _answer(
    network: GraphNetwork, form: Form, options: argparse.Namespace, beside: Console
) -> _Answer:
    """Count the layers; measure what is asked for and not known."""
    from rich.text import Text

    from nas.measurements.layer_table import layer_costs
    from nas.networks import Unsuitable

    known, measured, engine = None, None, _ENGINE_OF_FILES
    with ExitStack() as stack:
        bench = None
        try:
            bench = stack.enter_context(bench_for(
                options.engine, threads=options.threads, keep=True,
                notice=lambda words: beside.print(Text(words, style="dim"), soft_wrap=True),
            ))
            engine = bench.named
        except EngineUnavailable as error:
            if options.engine != "auto" or options.time:
                raise
            beside.print(Text(f"no roofline: {error}", style="yellow"), soft_wrap=True)
        try:
            file = network.file(form, engine)
        except Unsuitable as error:
            raise Mistake(f"{error}: give another --size") from error
        if bench is not None and not options.no_roofline:
            known = _peaks(bench, form, options, beside)
        if bench is not None and options.time:
            with beside.status("timing it", refresh_per_second=_REFRESH_PER_S):
                measured = bench.latency.measure(file, form.precision)
    height, width = form.size
    peaks = known.peaks if known is not None else None
    costs = layer_costs(network.graph, file, height=height, width=width, peaks=peaks)
    return _Answer(network, form, engine, costs, known, measured, _paper(options.network))


def _paper(name: str) -> str:
    from search_spaces.references import ALIASES, REFERENCES, reference_named

    if name not in REFERENCES and name not in ALIASES:
        return ""
    entry = reference_named(name)
    note = entry.note[:1].upper() + entry.note[1:]
    return ". ".join(words.rstrip(". ") for words in (entry.paper, note) if words) + "."


def _peaks(
    bench: Bench, form: Form, options: argparse.Namespace, beside: Console
) -> KnownPeaks:
    from nas.measurements.benches import receipts_path
    from nas.measurements.known_peaks import PEAKS, known_peaks

    words = (f"measuring what {bench.engine.name} can do here in {form.precision} at best, once "
             "for all networks; --no-roofline does without")
    with beside.status("", refresh_per_second=_REFRESH_PER_S) as status:
        try:
            return known_peaks(
                bench, form.precision, receipts_path().with_name(PEAKS), anew=options.peaks,
                before_measuring=lambda: status.update(words),
            )
        except (ValueError, OSError) as error:
            raise Mistake(str(error)) from error


def _print(answer: _Answer) -> None:
    from rich.console import Console
    from rich.text import Text

    from nas.measurements.layer_table import folded, print_layers, total_ms
    from nas.report.describe import milliseconds

    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    form, known, costs = answer.form, answer.known, answer.costs
    console.print(Text(f"{answer.network.name}, {form.shape}, {form.precision} as "
                       f"{answer.engine} takes it"))
    if answer.paper:
        console.print(Text(answer.paper, style="dim"))
    print_layers(console, folded(answer.network.graph, costs, known.peaks if known else None))
    least_ms = total_ms(costs)
    if known is None or least_ms is None:
        return
    peaks = known.peaks
    console.print(Text(
        f"at best {milliseconds(least_ms)}, one layer after the other, by the peaks of "
        f"{answer.engine} {peaks.precision}\nas seen here on {known.measured}: "
        f"{peaks.gmacs_per_s:.3g} GMAC/s, {peaks.gbytes_per_s:.3g} GB/s; "
        f"arithmetic is the bound from {peaks.ridge:.3g} MACs/byte on"
    ))
    if answer.measured is None:
        console.print(Text("an estimate, no latency: nas bench measures one", style="dim"))
        return
    receipt = answer.measured
    console.print(Text(
        f"measured {milliseconds(receipt.median_ms)} ({receipt.verdict}): "
        f"{receipt.median_ms / least_ms:.2g} times that"
    ))


def _to_json(answer: _Answer) -> dict[str, object]:
    from nas.measurements.layer_table import to_json, total_ms

    costs, known, measured = answer.costs, answer.known, answer.measured
    return {
        "network": answer.network.name,
        "paper": answer.paper or None,
        "size": list(answer.form.size),
        "precision": answer.form.precision,
        "engine": answer.engine,
        "params": sum(cost.params for cost in costs),
        "macs": sum(cost.macs for cost in costs),
        "bytes_moved": sum(cost.bytes_moved for cost in costs),
        "at_best_ms": total_ms(costs),
        "peaks": None if known is None else asdict(known),
        "measured": None if measured is None else measured.to_json(),
        "layers": to_json(costs),
    }
