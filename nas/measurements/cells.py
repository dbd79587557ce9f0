"""One cell of a benchmark: a network in one form on one engine, and all that was found out."""

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
from nas.networks import Form, Network, Unsuitable

GUARD = 0.01
"""Two processes that time one file differ by so much: a median this near a limit is at it."""
_NAMED = 5
_NOT_IN_A_LINE = ("conditions", "input_shape", "estimated", "precision", "engine", "batch_size")


@dataclass(frozen=True)
class Questions:
    """What is asked about each cell beside its latency.

    Attributes:
        layers: time per executed layer.
        roofline: how near it comes to what the device could do.
        check: whether TensorRT would take the file.
    """

    layers: bool = False
    roofline: bool = False
    check: bool = False


@dataclass(frozen=True)
class Cell:
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


def measure_cell(network: Network, form: Form, bench: Bench, questions: Questions) -> Cell:
    """Answer the questions about one cell; what cannot be says why and stops nothing else."""
    name, engine = network.name, bench.engine.name
    examined, origin = None, network.origin(form, engine)
    try:
        onnx = network.file(form, engine)
        # As TensorRT would be given it: int8 files for CPUs hold uint8 tensors.
        if questions.check:
            examined = bench.examine(network.file(form, "tensorrt"))
        before = bench.measured
        report = bench.latency.measure(onnx, form.precision)
        was_kept = bench.measured == before
    except (Unsuitable, CompileError, DeviceError) as error:
        return Cell(name, engine, form, why=_line(error), examined=examined, origin=origin)
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
    return Cell(
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


def to_json(cells: Sequence[Cell], *, limit_ms: float | None = None) -> dict[str, Any]:
    """All that is known, as plain JSON types."""
    return {"limit_ms": limit_ms, "cells": [_cell_json(cell, limit_ms) for cell in cells]}


def _cell_json(cell: Cell, limit_ms: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "network": cell.network,
        "engine": cell.engine,
        "precision": cell.form.precision,
        "size": list(cell.form.size),
        "batch": cell.form.batch,
        "file": cell.origin or None,
        "error": cell.why or None,
        "images_per_s": cell.images_per_s,
        "side": None if limit_ms is None else cell.side(limit_ms),
        "from_receipt": cell.was_kept,
        "report": None if cell.report is None else cell.report.to_json(),
        "notes": list(cell.notes),
    }
    if cell.layers:
        found["layers"] = [asdict(layer) for layer in cell.layers]
    if cell.roof is not None and cell.peaks is not None and cell.report is not None:
        found["roofline"] = {**_roof_facts(cell), "peaks": asdict(cell.peaks)}
    if cell.examined is not None:
        found["tensorrt_check"] = [asdict(finding) for finding in cell.examined.findings]
        found["tensorrt_checked_by"] = cell.examined.by
    return found


def _roof_facts(cell: Cell) -> dict[str, float | str | None]:
    if cell.roof is None or cell.report is None:
        return {}
    return {
        "macs": cell.roof.work.macs,
        "bytes_moved": cell.roof.work.bytes_moved,
        "not_counted": ", ".join(cell.roof.work.uncounted),
        "macs_per_byte": cell.roof.work.macs_per_byte,
        "compute_ms": cell.roof.compute_ms,
        "memory_ms": cell.roof.memory_ms,
        "nearer": cell.roof.nearer,
        "roof_reached": cell.roof.share(cell.report.median_ms),
    }


def write_csv(cells: Sequence[Cell], file: IO[str], *, limit_ms: float | None = None) -> None:
    """One line per cell: its form, the figures of its receipt, and the roofline if asked for."""
    lines = list(_csv_lines(cells, limit_ms))
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)


def _csv_lines(cells: Sequence[Cell], limit_ms: float | None) -> Iterator[Mapping[str, Any]]:
    for cell in cells:
        line: dict[str, Any] = {
            "network": cell.network,
            "engine": cell.engine,
            "precision": cell.form.precision,
            "size": cell.form.shape,
            "batch": cell.form.batch,
        }
        if cell.report is not None:
            receipt = cell.report.to_json()
            line |= {k: v for k, v in receipt.items() if k not in _NOT_IN_A_LINE}
            line["images_per_s"] = cell.images_per_s
            line["energy_mj"] = cell.condition("energy_mj")
        if limit_ms is not None:
            line["side"] = cell.side(limit_ms)
        yield {**line, **_roof_facts(cell), "file": cell.origin, "error": cell.why}
