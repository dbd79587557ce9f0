"""The last stage: a winner's bundle, timed and compared on the very files that ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import Precision
from latency_models.trt_examined import Examiner
from nas.candidate import Candidate, Rejection
from nas.durable import digest, write_folder
from nas.evidence import EXPORTED, ExportReport
from nas.experiment import Experiment, Rig
from nas.ledger import as_json, unpack_scales
from nas.networks import MANIFEST
from nas.receipts import settled
from nas.target import Target
from nas.trained import int8_arrays, shipped_file, trained_network
from runtime.bundle import PICTURE
from runtime.pictures import IO, entering, leaving
from runtime.signature import Port
from search_spaces.reach import margin_of, multiple_of
from search_spaces.skeletons import lower
from trainers.base import Arrays, Run

WINNERS = "winners"


def export(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Write the bundle `winners/<architecture id>/`; refuse a file that misses its limit.

    The bundle appears whole or not at all: it is made beside and renamed into place.
    """
    exported, files = candidate, dict[str, bytes]()
    for rig in experiment.rigs.values():
        report, made = _shipped(candidate, experiment, rig, there=files)
        limit_ms, shipped_ms = rig.target.max_latency_ms, report.shipped.median_ms
        if shipped_ms > limit_ms:
            where = f" on {rig.name}" if len(experiment.rigs) > 1 else ""
            reason = f"the shipped file takes {shipped_ms:.4g} ms, over the {limit_ms:g}{where}"
            missed = Rejection("latency_ms", reason, shipped_ms, limit_ms)
            return replace(candidate, rejected=missed)
        exported = exported.having(EXPORTED.on(rig.name), report)
        files |= made
    experiment.workers.check(candidate.name)
    _write_bundle(experiment, exported, files)
    return exported


def _shipped(
    candidate: Candidate, experiment: Experiment, rig: Rig, *, there: Mapping[str, bytes]
) -> tuple[ExportReport, dict[str, bytes]]:
    """What ships on one target and its files by their names without `.onnx`.

    A further target's are called `<target>-<precision>`, unless a file that is there already is
    the same.
    """
    target = rig.target
    precisions: list[Precision] = ["fp32"]
    if target.precision != "fp32":
        precisions.append(target.precision)
    files = {
        p: shipped_file(
            candidate, experiment, p, target.height, target.width, rules=rig.rules
        )
        for p in precisions
    }
    receipts = {p: rig.full.measure(files[p], p) for p in precisions}
    receipts[target.precision] = settled(rig, files[target.precision])
    errors = {p: _parity(candidate, experiment, rig, p, files[p]) for p in precisions}
    names = {p: p if rig is experiment.main else f"{rig.name}-{p}" for p in files}
    for name, onnx in there.items():
        names |= {p: name for p in files if files[p] == onnx}
    report = ExportReport(
        f"{WINNERS}/{candidate.architecture.id}",
        receipts[target.precision],
        receipts["fp32"],
        {p: worst for p, (worst, _) in errors.items()},
        {p: mean for p, (_, mean) in errors.items()},
        "" if rig is experiment.main else f"{names[target.precision]}.onnx",
    )
    return report, {names[p]: onnx for p, onnx in files.items()}


def _write_bundle(
    experiment: Experiment, candidate: Candidate, files: Mapping[str, bytes]
) -> None:
    reports = {name: candidate[EXPORTED.on(name)] for name in experiment.rigs}
    main = candidate[EXPORTED]
    latency, parity = _receipts(main), _errors(main)
    if len(reports) > 1:
        latency["targets"] = {
            name: {
                "limit_ms": candidate.limits_ms[name],
                "file": report.file or f"{report.shipped.precision}.onnx",
                **_receipts(report),
            }
            for name, report in reports.items()
        }
        parity["targets"] = {name: _errors(report) for name, report in reports.items()}
    documents = {
        "architecture.json": candidate.architecture.to_json(),
        "latency.json": latency,
        "parity.json": parity,
        "tensorrt.json": _for_tensorrt(files),
        "case.json": candidate.to_json(),
    }
    contents = {f"{name}.onnx": onnx for name, onnx in files.items()}
    contents |= {name: (as_json(d) + "\n").encode() for name, d in documents.items()}
    manifest: dict[str, Any] = {name: digest(content) for name, content in contents.items()}
    manifest[PICTURE] = _picture(candidate, experiment)
    folder = experiment.folder / main.folder
    write_folder(folder, contents | {MANIFEST: (as_json(manifest) + "\n").encode()})


def _picture(candidate: Candidate, experiment: Experiment) -> dict[str, Any]:
    """What a picture is to the network, and how it may be cut: `runtime.frames.Reach`."""
    graph = lower(candidate.architecture)
    return {
        "planes": getattr(experiment.task, "planes", ""),
        "margin": margin_of(graph),
        "multiple": multiple_of(graph),
    }


def _receipts(report: ExportReport) -> dict[str, Any]:
    """By precision; one where fp32 ships."""
    each = (report.fp32, report.shipped)
    return {receipt.precision: asdict(receipt) for receipt in each}


def _errors(report: ExportReport) -> dict[str, Any]:
    return {
        "max_abs_error": dict(report.max_abs_error),
        "mean_abs_error": dict(report.mean_abs_error),
    }


def _for_tensorrt(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What TensorRT says of each file, and who was asked."""
    with Examiner() as examiner:
        said = {name: examiner.examine(onnx) for name, onnx in files.items()}
    by = "; ".join(dict.fromkeys(examined.by for examined in said.values()))
    return {"by": by, **{n: [asdict(f) for f in one.findings] for n, one in said.items()}}


def _parity(
    candidate: Candidate, experiment: Experiment, rig: Rig, precision: Precision, onnx: bytes
) -> tuple[float, float]:
    """Largest and mean difference between the engine on this file and the torch module."""
    frames = _deployment_frames(candidate, experiment, rig.target)
    carried = candidate.architecture.signature.carried
    engine = rig.runner.run(onnx, precision, frames, carried)
    module = _module(candidate, experiment, precision)(frames)
    ports = candidate.architecture.signature.outputs
    differences = [
        np.abs(one[port.name] - _as_shipped(other[port.name], port, rig.rules.io))
        for one, other in zip(engine, module, strict=True)
        for port in ports
    ]
    largest = max(float(difference.max()) for difference in differences)
    return largest, float(np.mean([difference.mean() for difference in differences]))


def _as_shipped(values: NDArray[np.float32], port: Port, io: IO) -> NDArray[np.float32]:
    """An output of the module, rounded as the file rounds it."""
    if port.kind != "image" or port.scale is None:
        return values
    return leaving(entering(values, io), io)


def _module(candidate: Candidate, experiment: Experiment, precision: Precision) -> Run:
    from trainers.calls import run_of

    network = trained_network(candidate, experiment)
    signature = candidate.architecture.signature
    if precision != "int8":
        return run_of(network, signature)
    from search_spaces.fake_quantize import restore

    arrays = int8_arrays(candidate, experiment)
    weights, placement, scales = unpack_scales(arrays, network.graph, experiment.main.rules)
    return run_of(restore(network, placement, weights, scales), signature)


def _deployment_frames(
    candidate: Candidate, experiment: Experiment, target: Target
) -> list[Arrays]:
    """A sample of the task, mirrored until it fills the deployment's inputs."""
    ports = {port.name: port for port in candidate.architecture.signature.given}

    def full(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        sides = ports[name].shape(target.height, target.width)[1:]
        pad = [(0, max(0, side - had)) for side, had in zip(sides, values.shape[2:], strict=True)]
        mirrored = np.pad(values, [(0, 0), (0, 0), *pad], mode="symmetric")
        return mirrored[(slice(None), slice(None), *map(slice, sides))]

    from trainers.calls import frames_of

    frames = frames_of(experiment.task.calibration(1))
    return [{name: full(name, x.numpy()) for name, x in frame.items()} for frame in frames]
