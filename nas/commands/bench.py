"""`nas bench`: time networks on engines, before anybody trains them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from typing import TYPE_CHECKING

from latency_models.base import PRECISIONS, EngineUnavailable, Precision
from nas.commands import fail
from nas.commands.arguments import (
    Mistake,
    Parser,
    amount,
    bench_for,
    described_input,
    positive,
    share,
    size,
)
from runtime.pictures import IO_KINDS

if TYPE_CHECKING:
    from rich.console import Console

    from nas.measurements.benches import Bench
    from nas.measurements.measurement import Measurement, Questions
    from nas.networks import Form, NetworkSource

INTERRUPTED = 130
_PIPED_WIDTH = 160
_REFRESH_PER_S = 4
"""Of the spinner: it must not disturb what is measured."""

_HELP = """\
Compile networks untrained and measure their latency, without training anything.

A network is one of
  espcn                       a published network, by its name
  runs/x2/winners/1a2b3c      a winner of a search (its folder, or an architecture's JSON)
  net.onnx                    an ONNX file, at its own precision and shape
  my_nets:tiny                a function in my_nets.py that returns an nn.Module

examples:
  nas bench espcn fsrcnn ecbsr_m4c16                 # three published networks, int8, 360x640
  nas bench espcn --precision fp32 int8              # what int8 gains here
  nas bench espcn --engine openvino onnxruntime      # one engine beside another
  nas bench espcn --size 360x640 720x1280           # two input sizes
  nas bench net.onnx --limit 33.3                    # is it fast enough for 30 images a second?
  nas bench net.onnx --layers                        # where the time goes, layer by layer
  nas bench espcn --roofline                         # how near to what this machine can do
  nas bench net.onnx --check                         # would TensorRT take it?
  nas bench espcn --json > espcn.json                # everything, for other programs
"""
_LATER = """\
What was measured once is answered from its receipt ($XDG_CACHE_HOME/freeway, else
~/.cache/freeway) as long as file, engine, version, driver and device are the same.
Name the networks first; options that take several values come after them.
"""


def main(arguments: list[str]) -> int:
    """Measure and print; return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return _bench(options)
    except (Mistake, EngineUnavailable) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        print("\nstopped; what was measured is kept", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas bench", description=_HELP, epilog=_LATER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("networks", metavar="network", nargs="+", help="see above; several may be given")
    add("--engine", nargs="+", default=["auto"], metavar="NAME",
        help="openvino, onnxruntime, inductor, tensorrt, tensorrt_rtx, or auto (TensorRT where "
        "there is one with a GPU, else OpenVINO); one that is named is never replaced")
    add("--precision", nargs="+", choices=PRECISIONS, metavar="P",
        help="fp32, fp16, int8 (default: int8, on tensorrt_rtx fp16; an ONNX file's own; fp32 for "
        "a Python module)")
    add("--size", nargs="+", type=size, metavar="HxW",
        help="input height and width (default 360x640); a static ONNX file has its own")
    add("--batch", nargs="+", type=positive, metavar="N", help="images at once (default 1)")
    add("--io", choices=IO_KINDS, help="how pictures enter and leave a file that is written for "
        "this (default uint8_nhwc, as cameras and numpy have them; a file's or a bundle's own)")
    add("--threads", type=positive, default=1, metavar="N",
        help="of the engine, default 1: processor time of one thread is the steadiest clock")
    add("--limit", type=amount, metavar="MS", help="say which networks are within so many ms")
    add("--within", type=share, default=0.03, metavar="P",
        help="how far another process may find the same median when the verdict is ok (default "
        "3%%); 1%% takes up to nine times longer, and a quiet machine")
    add("--scale", type=positive, metavar="N",
        help="output size / input size of published networks (default: 2 where they have it)")
    add("--channels", type=positive, metavar="N",
        help="input channels of a Python module (default: those of its first convolution)")
    add("--input", nargs="+", type=described_input, default=[], metavar="NAME=...",
        help="of an ONNX file: values of an input of whole numbers, as sizes=1,3,720,1280, or the "
        "shape of a further open input, as guide=1x3x64x64")
    add("--layers", action="store_true", help="time, precision and origin of each layer that runs")
    add("--roofline", action="store_true",
        help="the least time that this device's measured peaks allow, and how near it is")
    add("--check", action="store_true", help="does TensorRT take it? by its "
        "own parser where TensorRT for RTX is installed, else by its documented rules")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print JSON: full receipts")
    shown.add_argument("--csv", action="store_true", help="print CSV: a line per measurement")
    add("--no-cache", action="store_true", help="measure anew and keep no receipt")
    return parser


def _bench(options: argparse.Namespace) -> int:
    from rich.console import Console

    from nas.distinct import distinct
    from nas.measurements.measurement import Questions
    from nas.measurements.tables import print_findings

    networks = distinct(
        options.networks, [_resolve(spec, options) for spec in options.networks]
    )
    beside = Console(stderr=True)
    questions = Questions(options.layers, options.roofline, options.check)
    engines = dict.fromkeys(options.engine)
    blocks = [
        list(_cells(networks, name, options, questions, beside, alone=len(engines) == 1))
        for name in engines
    ]
    measurements = [measured for same_file in zip(*blocks, strict=True) for measured in same_file]
    if all(measured.report is None for measured in measurements):
        if not (options.json or options.csv):
            print_findings(Console(width=None, highlight=False), measurements)
        return fail("nothing could be measured: " + "; ".join(
            dict.fromkeys(measured.why for measured in measurements)))
    _show(measurements, options)
    return 0


def _resolve(spec: str, options: argparse.Namespace) -> NetworkSource:
    from nas.networks import UnknownNetwork, resolve
    from search_spaces.base import InvalidArchitecture, UnknownName

    try:
        given = dict(options.input)
        if given and not spec.endswith(".onnx"):
            raise Mistake(f"--input tells about inputs of ONNX files, and {spec} is none")
        return resolve(spec, scale=options.scale, channels=options.channels, given=given)
    except (UnknownNetwork, UnknownName, InvalidArchitecture) as error:
        raise Mistake(str(error)) from error


def _cells(
    networks: Sequence[NetworkSource],
    engine: str,
    options: argparse.Namespace,
    questions: Questions,
    beside: Console,
    *,
    alone: bool,
) -> Iterator[Measurement]:
    """Measure all on one engine; a line on the error stream says what is at work."""
    from nas.measurements.measurement import Measurement, measurement_of

    with _opened(engine, options, beside, alone=alone) as bench:
        for network in networks:
            name = engine if isinstance(bench, str) else bench.engine.name
            for form in _forms(network, options, name):
                if isinstance(bench, str):
                    yield Measurement(network.name, engine, form, why=bench)
                    continue
                words = f"{network.name} {form.precision} {form.shape} on {bench.engine.name}"
                with beside.status(words, refresh_per_second=_REFRESH_PER_S):
                    measured = measurement_of(network, form, bench, questions)
                yield measured


@contextmanager
def _opened(
    name: str, options: argparse.Namespace, beside: Console, *, alone: bool
) -> Iterator[Bench | str]:
    """The engine's bench, or why there is none where others were asked for beside it."""
    from rich.text import Text

    with ExitStack() as stack:
        try:
            bench = bench_for(
                name,
                threads=options.threads,
                keep=not options.no_cache,
                within=options.within,
                notice=lambda words: beside.print(Text(words, style="dim"), soft_wrap=True),
            )
        except EngineUnavailable as error:
            if alone:
                raise
            yield str(error)
            return
        yield stack.enter_context(bench)


def _forms(network: NetworkSource, options: argparse.Namespace, engine: str) -> Iterator[Form]:
    from nas.networks import Form, usual_precision

    own = network.own
    precisions: Sequence[Precision] = options.precision or [usual_precision(network, engine)]
    sizes, batches = options.size or [own.size], options.batch or [own.batch]
    for image, batch, precision in product(sizes, batches, precisions):
        yield Form(precision, image, batch, options.io or own.io)


def _show(measurements: Sequence[Measurement], options: argparse.Namespace) -> None:
    if options.json:
        from nas.measurements.measurement import to_json

        print(json.dumps(to_json(measurements, limit_ms=options.limit), indent=1))
        return
    if options.csv:
        from nas.measurements.measurement import write_csv

        write_csv(measurements, sys.stdout, limit_ms=options.limit)
        return
    from rich.console import Console

    from nas.measurements.tables import DETAILS, print_latencies

    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    print_latencies(console, measurements, limit_ms=options.limit)
    for show in DETAILS:
        show(console, measurements)
