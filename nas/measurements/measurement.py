"""One line of a benchmark: a network in one form on one engine, and all that was found out."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import IO, Any

from latency_models.base import CompileError, DeviceError, LatencyReport, Layer
from latency_models.file_work import work_of_file
from latency_models.measured import Side, side_of
from latency_models.roofline import Peaks, Roof, roof
from latency_models.trt_examined import Examined
from nas.measurements.benches import Bench
from nas.networks import Form, NetworkSource, Unsuitable

GUARD = 0.01
"""Two processes that time one file differ by so much: a median this near a limit is at it."""
_NAMED = 5
_NOT_IN_A_LINE = ("conditions", "input_shape", "estimated", "precision", "engine", "batch_size")


@dataclass(frozen=True)
class Questions:
    """What is asked about each network beside its latency.

    Attributes:
        layers: time per executed layer.
        roofline: how near it comes to what the device could do.
        check: whether TensorRT would take the file.
    """

    layers: bool = False
    roofline: bool = False
    check: bool = False


@dataclass(frozen=True)
class Measurement:
    """A network in one form on one engine.

    Attributes:
        why: why there is no report; empty where there is one.
        origin: where the file came from, where somebody could mistake it.
        was_kept: the report is a receipt of an earlier run.
        layers: with the nodes of the file that each was made from, none for the engine's own.
        notes: what else was asked for and could not be had.
        examined: what TensorRT says of the file; None where that was not asked for.
    """

    network: str
    engine: str
    form: Form
    report: LatencyReport | None = None
    why: str = ""
    was_kept: bool = False
    layers: Sequence[Layer] = ()
    roof: Roof | None = None
    peaks: Peaks | None = None
    examined: Examined | None = None
    notes: Sequence[str] = ()
    origin: str = ""

    @property
    def images_per_s(self) -> float | None:
        """Images in a second, one batch after the other."""
        if self.report is None:
            return None
        return self.report.batch_size / self.report.median_ms * 1e3

    def condition(self, name: str) -> float | None:
        """A number among the report's conditions."""
        value = None if self.report is None else self.report.conditions.get(name)
        return None if value is None else float(value)

    def side(self, limit_ms: float) -> Side | None:
        """On which side of a limit it is."""
        if self.report is None:
            return None
        return side_of(self.report, limit_ms, guard=GUARD)


def measurement_of(
    network: NetworkSource, form: Form, bench: Bench, questions: Questions
) -> Measurement:
    """Answer the questions about one network; what cannot be says why and stops nothing else."""
    name, engine = network.name, bench.engine.name
    examined, origin = None, network.origin(form, bench.named)
    try:
        onnx = network.file(form, bench.named)
        # As TensorRT would be given it: int8 files for CPUs hold uint8 tensors.
        if questions.check:
            examined = bench.examine(network.file(form, "tensorrt"))
        before = bench.measured
        report = bench.latency.measure(onnx, form.precision)
        was_kept = bench.measured == before
    except (Unsuitable, CompileError, DeviceError) as error:
        return Measurement(name, engine, form, why=_line(error), examined=examined, origin=origin)
    layers: Sequence[Layer] = ()
    found, peaks, notes = None, None, []
    try:
        if questions.layers:
            layers = _by_the_files_names(bench.layers(onnx, form.precision), onnx)
    except (CompileError, DeviceError) as error:
        notes.append(f"no layers: {_line(error)}")
    try:
        if questions.roofline:
            peaks = bench.peaks(form.precision)
            found = roof(work_of_file(onnx), peaks)
    except (CompileError, DeviceError) as error:
        notes.append(f"no roofline: {_line(error)}")
    in_float = report.conditions.get("layers_in_float")
    if in_float:
        notes.append(
            f"{in_float:.0f} of {report.conditions['compute_layers']:.0f} layers that compute "
            "run in float here"
        )
    if found is not None and found.work.uncounted:
        notes.append(f"not counted: {_some(found.work.uncounted)}")
    return Measurement(
        name, engine, form, report, was_kept=was_kept,
        layers=layers, roof=found, peaks=peaks, examined=examined, notes=tuple(notes),
        origin=origin,
    )


def _by_the_files_names(layers: Sequence[Layer], onnx: bytes) -> list[Layer]:
    """Keep those origins that are nodes of the file; engines also name what they made up.

    A node without a name goes by its output; some engines call any node by its output, or append
    what is left of it (`conv/WithoutBiases`).
    """
    from onnx import load_model_from_string

    names: dict[str, str] = {}
    for node in load_model_from_string(onnx).graph.node:
        label = node.name or node.output[0]
        names |= {label: label} | {output: label for output in node.output}

    def known(layer: Layer) -> tuple[str, ...]:
        found = (
            names.get(origin) or names.get(origin.rpartition("/")[0])
            for origin in layer.original_nodes
        )
        return tuple(dict.fromkeys(name for name in found if name))

    return [replace(layer, original_nodes=known(layer)) for layer in layers]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def to_json(
    measurements: Sequence[Measurement], *, limit_ms: float | None = None
) -> dict[str, Any]:
    """All that is known, as plain JSON types."""
    return {
        "limit_ms": limit_ms,
        "measurements": [_as_json(one, limit_ms) for one in measurements],
    }


def _as_json(one: Measurement, limit_ms: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "network": one.network,
        "engine": one.engine,
        "precision": one.form.precision,
        "size": list(one.form.size),
        "batch": one.form.batch,
        "file": one.origin or None,
        "error": one.why or None,
        "images_per_s": one.images_per_s,
        "side": None if limit_ms is None else one.side(limit_ms),
        "from_receipt": one.was_kept,
        "report": None if one.report is None else one.report.to_json(),
        "notes": list(one.notes),
    }
    if one.layers:
        found["layers"] = [asdict(layer) for layer in one.layers]
    if one.roof is not None and one.peaks is not None and one.report is not None:
        found["roofline"] = {**_roof_facts(one), "peaks": asdict(one.peaks)}
    if one.examined is not None:
        found["tensorrt_check"] = [asdict(finding) for finding in one.examined.findings]
        found["tensorrt_checked_by"] = one.examined.by
    return found


def _roof_facts(one: Measurement) -> dict[str, float | str | None]:
    if one.roof is None or one.report is None:
        return {}
    return {
        "macs": one.roof.work.macs,
        "bytes_moved": one.roof.work.bytes_moved,
        "not_counted": ", ".join(one.roof.work.uncounted),
        "macs_per_byte": one.roof.work.macs_per_byte,
        "compute_ms": one.roof.compute_ms,
        "memory_ms": one.roof.memory_ms,
        "nearer": one.roof.nearer,
        "roof_reached": one.roof.share(one.report.median_ms),
    }


def write_csv(
    measurements: Sequence[Measurement], file: IO[str], *, limit_ms: float | None = None
) -> None:
    """One line each: its form, the figures of its receipt, and the roofline if asked for."""
    lines = list(_csv_lines(measurements, limit_ms))
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)


def _csv_lines(
    measurements: Sequence[Measurement], limit_ms: float | None
) -> Iterator[Mapping[str, Any]]:
    for one in measurements:
        line: dict[str, Any] = {
            "network": one.network,
            "engine": one.engine,
            "precision": one.form.precision,
            "size": one.form.shape,
            "batch": one.form.batch,
        }
        if one.report is not None:
            receipt = one.report.to_json()
            line |= {k: v for k, v in receipt.items() if k not in _NOT_IN_A_LINE}
            line["images_per_s"] = one.images_per_s
            line["energy_mj"] = one.condition("energy_mj")
        if limit_ms is not None:
            line["side"] = one.side(limit_ms)
        yield {**line, **_roof_facts(one), "file": one.origin, "error": one.why}
