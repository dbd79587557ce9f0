"""The last stage: a winner's bundle, timed and compared on the very files that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from latency_models.base import LatencyReport, Precision
from latency_models.trt_examined import Examiner
from nas.candidate import Candidate, Rejection
from nas.durable import digest, write_folder
from nas.evidence import EXPORTED, ExportReport
from nas.experiment import Experiment
from nas.ledger import as_json, unpack_scales
from nas.networks import MANIFEST
from nas.receipts import settled
from nas.trained import Images, int8_arrays, module_run, shipped_file, trained_network
from runtime import as_input
from trainers.base import Run

WINNERS = "winners"


def export(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Write the bundle `winners/<architecture id>/`; refuse a file that misses the limit.

    The bundle appears whole or not at all: it is made beside and renamed into place.
    """
    target = experiment.target
    precisions: list[Precision] = ["fp32"]
    if target.precision != "fp32":
        precisions.append(target.precision)
    files = {
        p: shipped_file(candidate, experiment, p, target.height, target.width)
        for p in precisions
    }
    receipts = {p: experiment.latency.measure(files[p], p) for p in precisions}
    receipts[target.precision] = settled(experiment, files[target.precision])
    errors = {p: _parity(candidate, experiment, p, files[p]) for p in precisions}
    folder = f"{WINNERS}/{candidate.architecture.id}"
    report = ExportReport(
        folder,
        receipts[target.precision],
        receipts["fp32"],
        {p: worst for p, (worst, _) in errors.items()},
        {p: mean for p, (_, mean) in errors.items()},
    )
    exported = candidate.having(EXPORTED, report)
    shipped_ms = report.shipped.median_ms
    if shipped_ms > target.max_latency_ms:
        reason = f"the shipped file takes {shipped_ms:.4g} ms, over the {target.max_latency_ms:g}"
        missed = Rejection("latency_ms", reason, shipped_ms, target.max_latency_ms)
        return replace(candidate, rejected=missed)
    experiment.crew.check(candidate.name)
    _write_bundle(experiment.folder / folder, exported, files, report)
    return exported


def _write_bundle(
    folder: Path, candidate: Candidate, files: dict[Precision, bytes], report: ExportReport
) -> None:
    documents = {
        "architecture.json": candidate.architecture.to_json(),
        "latency.json": {p: asdict(r) for p, r in _receipts(report, files).items()},
        "parity.json": {
            "max_abs_error": dict(report.max_abs_error),
            "mean_abs_error": dict(report.mean_abs_error),
        },
        "tensorrt.json": _for_tensorrt(files),
        "case.json": candidate.to_json(),
    }
    contents = {f"{precision}.onnx": onnx for precision, onnx in files.items()}
    contents |= {name: (as_json(d) + "\n").encode() for name, d in documents.items()}
    manifest = {name: digest(content) for name, content in contents.items()}
    write_folder(folder, contents | {MANIFEST: (as_json(manifest) + "\n").encode()})


def _for_tensorrt(files: Mapping[Precision, bytes]) -> dict[str, Any]:
    """What TensorRT says of each file, and who was asked."""
    with Examiner() as examiner:
        said = {p: examiner.examine(onnx) for p, onnx in files.items()}
    by = "; ".join(dict.fromkeys(examined.by for examined in said.values()))
    return {"by": by, **{p: [asdict(f) for f in one.findings] for p, one in said.items()}}


def _receipts(
    report: ExportReport, files: dict[Precision, bytes]
) -> dict[str, LatencyReport]:
    return {p: report.fp32 if p == "fp32" else report.shipped for p in files}


def _parity(
    candidate: Candidate, experiment: Experiment, precision: Precision, onnx: bytes
) -> tuple[float, float]:
    """Largest and mean difference between the engine on this file and the torch module."""
    image = _deployment_image(experiment)
    engine = experiment.runner.run(onnx, precision, [image])[0]
    torch_output = _module(candidate, experiment, precision)(image)
    difference = np.abs(engine - torch_output)
    return float(difference.max()), float(difference.mean())


def _module(candidate: Candidate, experiment: Experiment, precision: Precision) -> Run:
    network = trained_network(candidate, experiment)
    if precision != "int8":
        return module_run(network)
    from search_spaces.fake_quantize import restore

    arrays = int8_arrays(candidate, experiment)
    weights, placement, scales = unpack_scales(arrays, network.graph, experiment.rules)
    return module_run(restore(network, placement, weights, scales))


def _deployment_image(experiment: Experiment) -> Images:
    """A real picture, mirrored until it fills the deployment's input: (1, 3, H, W)."""
    target = experiment.target
    low = experiment.task.examples()[0].low
    pad = [(0, max(0, size - side)) for size, side in
           zip((target.height, target.width), low.shape[:2], strict=True)]
    full = np.pad(low, [*pad, (0, 0)], mode="symmetric")[: target.height, : target.width]
    return as_input(full)
