"""What `nas bench` prints: latencies, layers, rooflines and TensorRT findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from latency_models.base import LatencyReport, Verdict
from latency_models.trt_compatibility import Finding
from nas.measurements.measurement import Measurement
from nas.report.columns import fitted
from nas.report.describe import milliseconds

_LEFT_OUT_FIRST = ("build", "engine size", "layers", "memory", "95 % interval", "images/s")
_IDENTITY = ("network", "engine", "precision", "input", "clock")
_SIDES = {"faster": "yes", "slower": "no", "undecided": "undecided"}
_VERDICTS: Mapping[Verdict, str] = {
    "unstable": "unstable: the interval is wider than 1.5 %; measure again",
    "contended": "contended: other processes used the processor; measure again when it is quiet",
}

Line = dict[str, str]


def print_latencies(
    console: Console, measurements: Sequence[Measurement], *, limit_ms: float | None = None
) -> None:
    """The main table; what all lines share stands above it, reasons and doubts below."""
    reasons = list(dict.fromkeys(one.why for one in measurements if one.why))
    lines = [_latency_line(one, reasons, limit_ms) for one in measurements]
    _print_table(console, lines, title=_shared_title(measurements, lines))
    for number, reason in enumerate(reasons, 1):
        console.print(Text(f"[{number}] {reason}", style="yellow"), soft_wrap=True)
    verdicts = dict.fromkeys(one.report.verdict for one in measurements if one.report)
    for verdict in verdicts:
        if verdict in _VERDICTS:
            console.print(Text(_VERDICTS[verdict], style="dim"))
    kept = sum(one.was_kept for one in measurements)
    if kept:
        of = len(measurements)
        words = f"{kept} of {of} from receipts of earlier runs (--no-cache measures anew)"
        console.print(Text(words, style="dim"))
    for one in measurements:
        name = name_of(one, measurements)
        if one.origin and one.report is not None:
            console.print(Text(f"{name}: {one.origin}", style="dim"), soft_wrap=True)
        for note in one.notes:
            console.print(Text(f"{name}: {note}", style="yellow"), soft_wrap=True)


def _latency_line(one: Measurement, reasons: Sequence[str], limit_ms: float | None) -> Line:
    line = _identity(one)
    report = one.report
    if report is None:
        return {**line, "median": f"[{reasons.index(one.why) + 1}]"}
    line["clock"] = report.clock
    line["median"] = milliseconds(report.median_ms)
    low, high = milliseconds(report.ci_low_ms), milliseconds(report.ci_high_ms)
    line["95 % interval"] = f"{low.removesuffix(' ms')} to {high}"
    line["images/s"] = f"{one.images_per_s:.4g}"
    line["memory"] = f"{report.peak_memory_mib:.0f} MiB"
    line["engine size"] = f"{report.engine_bytes / 1024:.0f} KiB"
    line["build"] = milliseconds(report.build_s * 1e3)
    line["layers"] = f"{report.layers_before} > {report.layers_after}"
    energy_mj = one.condition("energy_mj")
    if energy_mj is not None:
        line["energy"] = f"{energy_mj:.3g} mJ"
    if limit_ms is not None:
        line[f"in {limit_ms:g} ms"] = _SIDES[one.side(limit_ms) or "undecided"]
    line["verdict"] = report.verdict
    return line


def _identity(one: Measurement) -> Line:
    batch = f"{one.form.batch} x " if one.form.batch > 1 else ""
    return {
        "network": one.network,
        "engine": one.engine,
        "precision": one.form.precision,
        "input": f"{batch}{one.form.shape}",
    }


def name_of(one: Measurement, measurements: Sequence[Measurement]) -> str:
    """The network, and of engine, precision and input what tells it from the others."""
    lines = [_identity(other) for other in measurements]
    varying = [k for k in _IDENTITY[1:4] if len({line[k] for line in lines}) > 1]
    own = _identity(one)
    return " ".join(own[key] for key in ("network", *varying))


def _shared_title(measurements: Sequence[Measurement], lines: list[Line]) -> str:
    """Take what all lines share out of them and put it in words."""
    shared = []
    reports = [one.report for one in measurements if one.report]
    for name in _IDENTITY[1:]:
        values = {line.get(name) for line in lines if name in line}
        if len(values) == 1:
            value = str(values.pop())
            shared.append(f"{value} time" if name == "clock" else value)
            for line in lines:
                line.pop(name, None)
    devices = " / ".join(dict.fromkeys(report.device for report in reports))
    threads = {_threads(report) for report in reports if report.clock != "device"}
    return ", ".join([*shared, devices, *threads])


def _threads(report: LatencyReport) -> str:
    return "1 thread" if report.threads == 1 else f"{report.threads} threads"


def _print_table(console: Console, lines: Sequence[Line], *, title: str) -> None:
    """Print what fits; say what does not."""
    words = (*_IDENTITY, "verdict", "nearer to")
    table, left_out = fitted(lines, width=console.width, spare=_LEFT_OUT_FIRST, left=words)
    console.print(Text(title))
    console.print(table)
    if left_out:
        told = f"left out for want of room: {', '.join(left_out)} (--json has all)"
        console.print(Text(told, style="dim"))


def print_layers(console: Console, measurements: Sequence[Measurement]) -> None:
    """Time per executed layer, and the nodes of the file that each was made from."""
    for one in measurements:
        if not one.layers or one.report is None:
            continue
        total_ms = sum(layer.ms or 0.0 for layer in one.layers)
        console.print(Text(
            f"layers of {name_of(one, measurements)}: {milliseconds(total_ms)} by the engine's "
            f"profiler, {milliseconds(one.report.median_ms)} without it"
        ))
        table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
        for name in ("time", "share"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("kind", "runs in"):
            table.add_column(name, no_wrap=True)
        table.add_column("made from these nodes", overflow="fold")
        for layer in one.layers:
            ms = layer.ms or 0.0
            share = f"{100 * ms / total_ms:.0f} %" if total_ms else ""
            nodes = Text(", ".join(layer.original_nodes) or "none, the engine's own")
            table.add_row(milliseconds(ms), share, layer.kind, layer.precision, nodes)
        console.print(table)


def print_rooflines(console: Console, measurements: Sequence[Measurement]) -> None:
    """Work, the time that each roof allows, and how much of the nearer one was reached."""
    known = [one for one in measurements if one.roof is not None and one.report is not None]
    if not known:
        return
    lines = []
    for one in known:
        assert one.roof is not None and one.report is not None
        work = one.roof.work
        over = "over " if work.uncounted else ""
        lines.append({
            "network": name_of(one, measurements),
            "GMACs": f"{over}{work.macs / 1e9:.3g}",
            "MB moved": f"{over}{work.bytes_moved / 1e6:.3g}",
            "MACs/byte": f"{work.macs_per_byte:.3g}",
            "by arithmetic": milliseconds(one.roof.compute_ms),
            "by memory": milliseconds(one.roof.memory_ms),
            "measured": milliseconds(one.report.median_ms),
            "nearer to": "" if over else f"{_ROOFS[one.roof.nearer]} roof",
            "reached": f"{over}{100 * one.roof.share(one.report.median_ms):.0f} %",
        })
    _print_table(console, lines, title="roofline: the least time that the device's peaks allow")
    peaks = {(one.engine, p.precision): p for one in known if (p := one.peaks)}
    for (engine, precision), peak in peaks.items():
        console.print(Text(
            f"measured peaks, {engine} {precision}: {peak.gmacs_per_s:.3g} GMAC/s, "
            f"{peak.gbytes_per_s:.3g} GB/s; arithmetic is the roof from {peak.ridge:.3g} "
            "MACs/byte on", style="dim",
        ))


_ROOFS = {"compute": "arithmetic", "memory": "memory"}


def print_findings(console: Console, measurements: Sequence[Measurement]) -> None:
    """What TensorRT refuses or runs slowly, by file."""
    seen: dict[tuple[Finding, ...], tuple[str, str]] = {}
    for one in measurements:
        if one.examined is not None:
            told = (name_of(one, measurements), one.examined.by)
            seen.setdefault(tuple(one.examined.findings), told)
    for findings, (name, by) in seen.items():
        errors = sum(finding.level == "error" for finding in findings)
        counts = f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'advice')}"
        console.print(Text(f"TensorRT check of {name}, by {by}: {counts}"), soft_wrap=True)
        for finding in findings:
            style = "red" if finding.level == "error" else ""
            console.print(Text(
                f"  {finding.level}  {finding.node}  {finding.rule}: {finding.message}", style
            ), soft_wrap=True)


def _count(number: int, what: str) -> str:
    many = what if what == "advice" or number == 1 else f"{what}s"
    return f"{number or 'no'} {many}"


Printer = Callable[[Console, Sequence[Measurement]], None]
DETAILS: tuple[Printer, ...] = (print_layers, print_rooflines, print_findings)
