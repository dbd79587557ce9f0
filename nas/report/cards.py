"""Parts of the report about single things: how it was measured, and each winner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.confidence import gain_over
from nas.evidence import EXPORTED, QUANTIZED, SCREENED, TRAINED
from nas.report.describe import aim_words, compared, figure, milliseconds
from nas.report.drawing import drawing
from nas.report.layers import layer_lines
from nas.report.markup import bullets, cell, facts, table
from nas.report.summary import Row, Summary
from nas.table.base import ENGINE
from nas.target import Target
from search_spaces.graph import Graph
from search_spaces.skeletons import lower

_CLOCKS = {
    "wall": "wall time of the call",
    "cpu": "processor time spent in the call, all its threads together",
    "device": "time between two events on the accelerator",
}

_SIMULATED = (
    "Nothing was measured: a table of networks that were measured before answered, and for "
    "networks that are not in it a fit to those that are, with a miss as large as the fit's own."
)


def measurement(
    candidates: Sequence[Candidate], target: Target, images: Sequence[str], notes: Sequence[str]
) -> str:
    """How latencies and qualities were found, so that somebody can find them again."""
    receipts = [r for c in candidates for r in c.receipts.values()]
    pairs = _circumstances(receipts) if receipts else [("engine", target.engine)]
    count = f"{len(images)}: " if images else ""
    pairs += [("validation images", count + _listed(images))]
    told = bullets(list(notes)) if notes else ""
    simulated = bool(receipts) and all(r.engine == ENGINE for r in receipts)
    protocol = _SIMULATED if simulated else (
        "Each network was built with random weights, written as the file that would ship, "
        "compiled by the engine and run on one image until the 95 % interval of its median was "
        "narrow, or until it was certain to be over the limit. A small reference network ran in "
        "between; when it slowed down, the machine did, and the figures were corrected by as "
        "much. Winners were timed again on the trained file. Two networks are compared on the "
        "same pictures, by a paired bootstrap: the interval says what other pictures of the same "
        "kind would give, and nothing of another training of the same network."
    )
    return (
        f'<h2>How this was measured</h2><section class="card">{facts(pairs)}'
        f'<p class="small" style="margin-top:1em">{escape(protocol)}</p>{told}</section>'
    )


def _circumstances(receipts: Sequence[LatencyReport]) -> list[tuple[str, str]]:
    verdicts = Counter(r.verdict for r in receipts)
    samples = sorted(r.samples for r in receipts)
    clocks = sorted({_CLOCKS[r.clock] for r in receipts})
    return [
        ("engine", _distinct(f"{r.engine} {r.engine_version}" for r in receipts)),
        ("device", _distinct(r.device for r in receipts)),
        ("threads", _distinct(str(r.threads) for r in receipts)),
        ("input", _distinct(" x ".join(map(str, r.input_shape)) for r in receipts)),
        ("precision", _distinct(r.precision for r in receipts)),
        ("clock", "; ".join(clocks)),
        ("samples", f"{samples[0]} to {samples[-1]}, median {samples[len(samples) // 2]}"),
        ("verdicts", ", ".join(f"{n} {verdict}" for verdict, n in verdicts.most_common())),
        ("estimated, not run", str(n) if (n := sum(r.estimated for r in receipts)) else ""),
    ]


def _distinct(words: Iterable[str]) -> str:
    return "; ".join(sorted(set(words)))


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def card(
    candidate: Candidate,
    row: Row,
    summary: Summary,
    time_again: str,
    *,
    elsewhere: Mapping[str, str] | None = None,
) -> str:
    """Everything about one winner: what it is, what it costs, how it was checked.

    Args:
        time_again: the command that times it again; `{folder}` stands for its bundle.
        elsewhere: those for its files on further targets, by name.
    """
    if not candidate.has(EXPORTED):
        return _simulated_card(candidate, row, summary)
    exported, quantized = candidate[EXPORTED], candidate.get(QUANTIZED)
    shipped, metric = exported.shipped, summary.metric
    errors = ", ".join(
        f"{precision} {worst:.2g} at most, {exported.mean_abs_error.get(precision, 0.0):.2g} mean"
        for precision, worst in exported.max_abs_error.items()
    )
    quality = "" if row.metric is None else figure(metric, row.metric)
    if row.gain is not None:
        quality += f", {compared(metric, row.gain, other=summary.baseline.label)}"
    if quantized is not None:
        quality += f"; in {quantized.precision}, by the engine"
        if (trained := candidate.get(TRAINED)) is not None:
            change = gain_over(metric, quantized, trained)
            quality += f": {compared(metric, change, other='before quantization')}"
        if count := quantized.float_layers:
            quality += f"; {count} {'layers' if count > 1 else 'layer'} left in float"
    pairs = [
        ("quality", quality),
        ("step", "" if row.step is None else
                 compared(metric, row.step, other="the next faster winner")),
        ("latency", _spread(shipped)),
        *_elsewhere(candidate, summary),
        ("in fp32", milliseconds(exported.fp32.median_ms)),
        ("parity", f"largest output difference to torch: {errors}"),
        ("compiled", f"{shipped.layers_before} nodes to {shipped.layers_after} layers in "
                     f"{shipped.build_s:.2g} s, {shipped.peak_memory_mib:.0f} MiB at most"),
        ("verdict", f"{shipped.verdict}, drift {shipped.drift:+.1%}, {shipped.samples} samples"),
        ("files", f"{exported.folder}/"),
        ("sha256 of the file", shipped.onnx_sha256),
        ("proposed as", candidate.name),
    ]
    command = time_again.replace("{folder}", exported.folder)
    for name, again in (elsewhere or {}).items():
        there = candidate[EXPORTED.on(name)]
        command += "\n" + again.replace("{folder}", f"{there.folder}/{there.file}")
    graph = lower(candidate.architecture)
    picture = drawing(
        graph, height=summary.target.height, width=summary.target.width, name=row.label
    )
    return (
        f'<section class="card"><h3><code class="win">{escape(row.label)}</code></h3>'
        f"<p>{escape(row.description)}</p>"
        f'<div class="scroll drawn">{picture}</div>{facts(pairs)}'
        f'<p class="soft small" style="margin:1em 0 0">To time it again, in '
        'the folder where the search ran:</p>'
        f"<pre><code>{escape(command)}</code></pre>"
        f"<details><summary>Layer by layer</summary>{_layers(graph, summary.target)}</details>"
        "</section>"
    )


def _elsewhere(candidate: Candidate, summary: Summary) -> list[tuple[str, str]]:
    """A line for each further target: its latency, its file, and what it computes."""
    lines = []
    for name, target in summary.further.items():
        report = candidate[EXPORTED.on(name)]
        worst = report.max_abs_error.get(target.precision, 0.0)
        lines.append((
            f"on {name}",
            f"{_spread(report.shipped)} by {aim_words(target)}; {report.file}, at most "
            f"{worst:.2g} from torch; {report.shipped.verdict}",
        ))
    return lines


def _simulated_card(candidate: Candidate, row: Row, summary: Summary) -> str:
    """What a table says of a network; there is no file to be checked."""
    graph = lower(candidate.architecture)
    target = summary.target
    estimated = candidate.has(SCREENED) and candidate[SCREENED].estimated
    told = "estimated" if estimated else "as measured for the table"
    pairs = [
        ("quality", "" if row.metric is None else figure(summary.metric, row.metric)),
        ("latency", f"{milliseconds(candidate.latency_ms)}, {told}"),
        ("proposed as", candidate.name),
    ]
    picture = drawing(graph, height=target.height, width=target.width, name=row.label)
    return (
        f'<section class="card"><h3><code class="win">{escape(row.label)}</code></h3>'
        f"<p>{escape(row.description)}</p>"
        f'<div class="scroll drawn">{picture}</div>{facts(pairs)}'
        f"<details><summary>Layer by layer</summary>{_layers(graph, target)}</details>"
        "</section>"
    )


def _spread(receipt: LatencyReport) -> str:
    return (
        f"{milliseconds(receipt.median_ms)} (95 % interval {milliseconds(receipt.ci_low_ms)} to "
        f"{milliseconds(receipt.ci_high_ms)}; 1 in 20 takes over "
        f"{milliseconds(receipt.p95_ms)})"
    )


def _layers(graph: Graph, target: Target) -> str:
    lines = layer_lines(graph, height=target.height, width=target.width)
    whole = sum(line.macs for line in lines) or 1
    heads = [("layer", ""), ("", ""), ("output", ""), ("params", "n"), ("MMACs", "n"), ("", "n")]
    rows = []
    for line in lines[1:]:
        work = f"{line.macs / 1e6:,.1f}" if line.macs else ""
        share = f"{line.macs / whole:.0%}" if line.macs else ""
        params = f"{line.params:,}" if line.params else ""
        rows.append(
            cell(line.kind) + cell(line.detail) + cell(line.size)
            + cell(params, "n") + cell(work, "n") + cell(share, "n")
        )
    return table(heads, rows)
