"""The last stage: a winner's bundle, timed and compared on the very files that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import LatencyReport, Precision
from latency_models.trt_examined import Examiner
from nas.candidate import Candidate, Rejection
from nas.durable import digest, write_folder
from nas.evidence import EXPORTED, ExportReport
from nas.experiment import Experiment
from nas.ledger import as_json, unpack_scales
from nas.networks import MANIFEST
from nas.receipts import settled
from nas.trained import int8_arrays, shipped_file, trained_network
from trainers.base import Arrays, Run

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
    frames = _deployment_frames(candidate, experiment)
    carried = candidate.architecture.signature.carried
    engine = experiment.runner.run(onnx, precision, frames, carried)
    module = _module(candidate, experiment, precision)(frames)
    differences = [
        np.abs(one[port.name] - other[port.name])
        for one, other in zip(engine, module, strict=True)
        for port in candidate.architecture.signature.outputs
    ]
    largest = max(float(difference.max()) for difference in differences)
    return largest, float(np.mean([difference.mean() for difference in differences]))


def _module(candidate: Candidate, experiment: Experiment, precision: Precision) -> Run:
    from trainers.calls import run_of

    network = trained_network(candidate, experiment)
    signature = candidate.architecture.signature
    if precision != "int8":
        return run_of(network, signature)
    from search_spaces.fake_quantize import restore

    arrays = int8_arrays(candidate, experiment)
    weights, placement, scales = unpack_scales(arrays, network.graph, experiment.rules)
    return run_of(restore(network, placement, weights, scales), signature)


def _deployment_frames(candidate: Candidate, experiment: Experiment) -> list[Arrays]:
    """A sample of the task, mirrored until it fills the deployment's inputs."""
    target = experiment.target
    ports = {port.name: port for port in candidate.architecture.signature.given}

    def full(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        sides = ports[name].shape(target.height, target.width)[1:]
        pad = [(0, max(0, side - had)) for side, had in zip(sides, values.shape[2:], strict=True)]
        mirrored = np.pad(values, [(0, 0), (0, 0), *pad], mode="symmetric")
        return mirrored[(slice(None), slice(None), *map(slice, sides))]

    from trainers.calls import frames_of

    frames = frames_of(experiment.task.calibration(1))
    return [{name: full(name, x.numpy()) for name, x in frame.items()} for frame in frames]
