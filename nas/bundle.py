"""The last stage: a winner's bundle, timed and held against its network on the files that ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from latency_models.base import LatencyReport, Precision
from latency_models.trt_examined import Examiner
from nas.candidate import Candidate, Rejection
from nas.card import CARD, Shown, card
from nas.durable import digest, write_folder
from nas.evidence import EXPORTED, ExportReport
from nas.experiment import Experiment, Rig
from nas.gates import BOUNDS, PICTURES, Held, hold
from nas.golden import Golden, Made, kept_of, sample_of
from nas.ledger import as_json
from nas.networks import MANIFEST
from nas.receipts import settled
from nas.trained import shipped_file
from runtime.manifest import FORMAT, PICTURE, RUNS
from search_spaces.reach import margin_of, multiple_of
from search_spaces.skeletons import lower
from trainers.base import Arrays

WINNERS = "winners"


@dataclass(frozen=True)
class _Shipped:
    """What ships on one target.

    Attributes:
        files: by their names without `.onnx`.
        held: each file against its network, those among them that do not ship.
        left_out: why a further file does not ship, by its name.
        runs: the precision of the file that is fastest, and why where it is another one.
    """

    rig: Rig
    report: ExportReport
    names: Mapping[Precision, str]
    files: Mapping[Precision, bytes]
    held: Mapping[Precision, Held]
    left_out: Mapping[str, str]

    @property
    def runs(self) -> tuple[Precision, str]:
        shipped, fp32 = self.report.shipped, self.report.fp32
        if "fp32" in self.files and fp32.ci_high_ms < shipped.ci_low_ms:
            why = (
                f"{shipped.precision} takes {shipped.median_ms:.4g} ms and fp32 "
                f"{fp32.median_ms:.4g} on {shipped.engine}"
            )
            return "fp32", why
        return shipped.precision, ""


def export(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Write the bundle `winners/<architecture id>/`; refuse a file that is late or wrong.

    The bundle appears whole or not at all: it is made beside and renamed into place.
    """
    sample = sample_of(experiment.task, candidate.architecture.signature)
    exported, each, files = candidate, list[_Shipped](), dict[str, bytes]()
    for rig in experiment.rigs.values():
        shipped = _shipped(candidate, experiment, rig, sample=sample, there=files)
        missed = _missed(shipped, on=rig.name if len(experiment.rigs) > 1 else "")
        if missed is not None:
            return replace(candidate, rejected=missed)
        exported = exported.having(EXPORTED.on(rig.name), shipped.report)
        files |= {shipped.names[p]: onnx for p, onnx in shipped.files.items()}
        each.append(shipped)
    experiment.workers.check(candidate.name)
    _write_bundle(experiment, exported, each, sample)
    return exported


def _missed(shipped: _Shipped, *, on: str) -> Rejection | None:
    """Why what a target was to get is refused, or None."""
    where = f" on {on}" if on else ""
    limit_ms, receipt = shipped.rig.target.max_latency_ms, shipped.report.shipped
    if receipt.median_ms > limit_ms:
        reason = f"the shipped file takes {receipt.median_ms:.4g} ms, over the {limit_ms:g}{where}"
        return Rejection("latency_ms", reason, receipt.median_ms, limit_ms)
    missed = shipped.held[receipt.precision].missed
    return None if missed is None else replace(missed, reason=f"{missed.reason}{where}")


def _shipped(
    candidate: Candidate, experiment: Experiment, rig: Rig, *,
    sample: Sequence[Arrays], there: Mapping[str, bytes],
) -> _Shipped:  # fmt: skip
    """What ships on one target.

    A further target's files are called `<target>-<precision>`, unless a file that is there already
    is the same.
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
    receipts: dict[Precision, LatencyReport] = {
        p: rig.full.measure(files[p], p) for p in precisions
    }
    receipts[target.precision] = settled(rig, files[target.precision])
    held = hold(candidate, experiment, rig, files, sample)
    names: dict[Precision, str] = {
        p: p if rig is experiment.main else f"{rig.name}-{p}" for p in files
    }
    for name, onnx in there.items():
        names |= {p: name for p in files if files[p] == onnx}
    report = ExportReport(
        f"{WINNERS}/{candidate.architecture.id}",
        receipts[target.precision],
        receipts["fp32"],
        {p: one.apart[PICTURES].largest for p, one in held.items() if one.apart},
        {p: one.apart[PICTURES].mean for p, one in held.items() if one.apart},
        "" if rig is experiment.main else f"{names[target.precision]}.onnx",
    )
    wrong = {p: one.missed.reason for p, one in held.items() if one.missed is not None}
    return _Shipped(
        rig, report, names,
        {p: onnx for p, onnx in files.items() if p not in wrong}, held,
        {f"{names[p]}.onnx": reason for p, reason in wrong.items()},
    )  # fmt: skip


def _write_bundle(
    experiment: Experiment, candidate: Candidate, each: Sequence[_Shipped],
    sample: Sequence[Arrays],
) -> None:  # fmt: skip
    main, signature = each[0], candidate.architecture.signature
    latency, parity = _receipts(main.report), _errors(main)
    if len(each) > 1:
        latency["targets"] = {
            one.rig.name: {
                "limit_ms": candidate.limits_ms[one.rig.name],
                "file": one.report.file or f"{one.report.shipped.precision}.onnx",
                **({"run": f"{one.names[one.runs[0]]}.onnx"} if one.runs[1] else {}),
                **_receipts(one.report),
            }
            for one in each
        }
        parity["targets"] = {one.rig.name: _errors(one) for one in each}
    files = {one.names[p]: onnx for one in each for p, onnx in one.files.items()}
    documents = {
        "architecture.json": candidate.architecture.to_json(),
        "latency.json": latency,
        "parity.json": parity,
        "tensorrt.json": _for_tensorrt(files),
        "case.json": candidate.to_json(),
    }
    contents = {f"{name}.onnx": onnx for name, onnx in files.items()}
    contents |= {name: (as_json(d) + "\n").encode() for name, d in documents.items()}
    contents |= _golden(candidate, each, sample).contents(signature)
    contents[CARD] = card(candidate, experiment, [_shown(one) for one in each]).encode()
    manifest: dict[str, Any] = {name: digest(content) for name, content in contents.items()}
    manifest["format"] = FORMAT
    manifest[PICTURE] = _picture(candidate, experiment)
    precision, why = main.runs
    manifest[RUNS] = {"precision": precision, **({"why": why} if why else {})}
    folder = experiment.folder / main.report.folder
    write_folder(folder, contents | {MANIFEST: (as_json(manifest) + "\n").encode()})


def _golden(
    candidate: Candidate, each: Sequence[_Shipped], sample: Sequence[Arrays]
) -> Golden:
    """What the files made of the task's pictures when they were held against their networks."""
    made: dict[str, Made] = {}
    windows: dict[str, Any] = {}
    for one in each:
        receipt, target = one.report.shipped, one.rig.target
        for precision in one.files:
            name, bound = one.names[precision], BOUNDS[precision]
            cut, known = kept_of(
                name, one.held[precision].pictures, candidate.architecture.signature,
                one.rig.rules.io,
            )  # fmt: skip
            if name in made:
                continue
            made[name] = Made(
                receipt.engine, receipt.engine_version, receipt.device,
                (target.height, target.width), bound.largest, bound.mean, known,
            )  # fmt: skip
            windows |= cut
    return Golden(sample, made, windows)


def _shown(one: _Shipped) -> Shown:
    return Shown(
        one.rig.name, {f"{one.names[p]}.onnx": p for p in one.files}, one.report, one.held,
        one.left_out, *one.runs,
    )  # fmt: skip


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


def _errors(one: _Shipped) -> dict[str, Any]:
    gates = {p: {**held.to_json(), "bound": asdict(BOUNDS[p])} for p, held in one.held.items()}
    return {
        "max_abs_error": dict(one.report.max_abs_error),
        "mean_abs_error": dict(one.report.mean_abs_error),
        "gates": gates,
        **({"left_out": dict(one.left_out)} if one.left_out else {}),
    }


def _for_tensorrt(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What TensorRT says of each file, and who was asked."""
    with Examiner() as examiner:
        said = {name: examiner.examine(onnx) for name, onnx in files.items()}
    by = "; ".join(dict.fromkeys(examined.by for examined in said.values()))
    return {"by": by, **{n: [asdict(f) for f in one.findings] for n, one in said.items()}}
