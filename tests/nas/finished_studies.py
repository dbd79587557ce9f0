"""Candidates with made-up evidence, as a study leaves them."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from latency_models.base import LatencyReport
from nas.candidate import PUBLISHED, Candidate, Origin, Rejection
from nas.evidence import KNOWN, PROBED, QUANTIZED, TRAINED, ExportReport
from nas.experiment import Plan
from nas.target import Target
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.references import reference
from trainers.base import Metric, QuantReport, TrainReport

PSNR = Metric("psnr_y", "dB", "max")
TARGET = Target(engine="onnxruntime", max_latency_ms=50.0)
PLAN = Plan("photos-x2", candidates=16, finalists=3, references=("espcn",))
BASELINE = 31.62


def receipt(median_ms: float, **changed: Any) -> LatencyReport:
    """A receipt of this median, everything else alike."""
    fields: dict[str, Any] = dict(
        median_ms=median_ms, p5_ms=median_ms * 0.98, p95_ms=median_ms * 1.05,
        p99_ms=median_ms * 1.2, ci_low_ms=median_ms * 0.99, ci_high_ms=median_ms * 1.01,
        samples=120, warmup_s=0.5, clock="cpu", wall_median_ms=median_ms * 1.01,
        cpu_median_ms=median_ms, batch_size=1, input_shape=(1, 3, 360, 640), precision="int8",
        engine="onnxruntime", engine_version="1.23.0", device="Some Processor 3 GHz", threads=1,
        build_s=0.05, peak_memory_mib=61.0, engine_bytes=20_000, layers_before=14,
        layers_after=9, onnx_sha256="5f" * 32, drift=0.01, verdict="ok",
        conditions={"load_1min": 0.4, "rounds": 120},
    )
    return LatencyReport(**{**fields, **changed})


def network(width: int = 16, repeat: int = 2, **args: Any) -> Architecture:
    """An upscaler of two groups."""
    chosen = {"base": "bicubic", "centre": True, "reduction": "strided", **args}
    blocks = (BlockSpec.of("conv", width, kernel=3), BlockSpec.of("conv", width, repeat, kernel=3))
    return Architecture("upscaler", one_to_one(3, 3, 2), blocks, tuple(sorted(chosen.items())))


def with_reports(
    candidate: Candidate, *, rejected: Rejection | None = None, **reports: Any
) -> Candidate:
    """The candidate after these stages, given by their names; one that is None was not reached."""
    for name, report in reports.items():
        if report is not None:
            candidate = candidate.having(KNOWN[name], report)
    return replace(candidate, rejected=rejected)


def proposal(number: int, **evidence: Any) -> Candidate:
    """A candidate of the search, each with a network of its own."""
    widths = (16, 24, 32, 48, 64)
    architecture = network(widths[number % 5], 1 + number // 5)
    made = Candidate(f"trial-{number}", Origin("proposed"), architecture)
    return with_reports(made, **evidence)


def trained(metric: float, steps: int = 1200) -> TrainReport:
    """A report of training."""
    return TrainReport(metric, "psnr_y", steps, steps * 0.05)


def too_slow(number: int, latency_ms: float) -> Candidate:
    """Refused before any training."""
    reason = f"{latency_ms:.1f} ms is over the limit of 50 ms"
    rejection = Rejection("latency_ms", reason, latency_ms, 50.0)
    return proposal(number, screened=receipt(latency_ms), rejected=rejection)


def broken(number: int, reason: str = "no kernel for Conv") -> Candidate:
    """Refused by the engine."""
    return proposal(number, rejected=Rejection("compiles", reason))


def probed(number: int, latency_ms: float, metric: float) -> Candidate:
    """Trained briefly and not chosen."""
    return proposal(number, screened=receipt(latency_ms), probed=trained(metric, 120))


def winner(number: int, latency_ms: float, metric: float) -> Candidate:
    """Went through everything."""
    return proposal(
        number,
        screened=receipt(latency_ms * 1.01),
        probed=trained(metric - 0.6, 120),
        trained=trained(metric + 0.05),
        quantized=QuantReport(metric, 0.05, "int8", 200, 14.0),
        exported=ExportReport(
            f"winners/{proposal(number).architecture.id}",
            receipt(latency_ms),
            receipt(latency_ms * 2.1, precision="fp32"),
            {"fp32": 2e-6, "int8": 8.1e-3},
            {"fp32": 2e-7, "int8": 4e-4},
        ),
    )


def published(name: str, latency_ms: float, metric: float) -> Candidate:
    """A reference, trained and quantized."""
    return with_reports(
        Candidate(name, PUBLISHED, reference(name, 2)),
        screened=receipt(latency_ms),
        probed=trained(metric - 0.5, 120),
        trained=trained(metric + 0.1),
        quantized=QuantReport(metric, 0.1, "int8", 200, 20.0),
    )


def finished_study() -> list[Candidate]:
    """Four winners, three references, a crowd that came less far."""
    return [
        winner(1, 14.2, 32.41), winner(6, 22.8, 32.88), winner(8, 31.5, 33.10),
        winner(14, 46.3, 33.31),
        *(probed(20 + k, 9.0 + 2.9 * k, 31.5 + 0.09 * k + 0.3 * (k % 3)) for k in range(13)),
        *(too_slow(40 + k, 51.0 + 9 * k) for k in range(9)), broken(60), broken(61),
        published("espcn", 68.0, 32.95), published("fsrcnn", 47.6, 32.80),
        published("ecbsr_m4c16", 33.4, 33.05),
    ]


def on_pictures(candidate: Candidate, count: int = 12, *, spread: float = 0.05) -> Candidate:
    """The same evidence, with the metric of each of so many pictures."""
    for what in (PROBED, TRAINED, QUANTIZED):
        report = candidate.get(what)
        if report is not None:
            random = Random(f"{candidate.name} {what.name}")
            noise = [random.gauss(0.0, spread) for _ in range(count)]
            about = report.metric - sum(noise) / count - 0.5 * (count - 1)
            scores = tuple(about + k + off for k, off in enumerate(noise))
            candidate = candidate.having(what, replace(report, scores=scores))
    return candidate


BASELINE_SCORES = tuple(BASELINE + k - 5.5 for k in range(12))


def judged_study() -> list[Candidate]:
    """`finished_study` with twelve pictures."""
    return [on_pictures(candidate) for candidate in finished_study()]


def long_study(count: int = 60, *, guided_gain: float = 0.3, starts: int = 12) -> list[Candidate]:
    """So many proposals, the first ones unguided, the best eight trained in full.

    Every fifth proposal is too slow.

    Args:
        guided_gain: how much better guided proposals are than unguided ones.
    """
    random = Random(5)
    found = []
    for k in range(count):
        origin = "start" if k < 2 else "random" if k < starts else f"mutation of trial-{k // 3}"
        latency_ms = random.uniform(10.0, 48.0)
        metric = 31.5 + 0.02 * latency_ms + random.gauss(0.0, 0.2)
        metric += guided_gain if k >= starts else 0.0
        made = too_slow(k, 60.0) if k % 5 == 4 else probed(k, latency_ms, metric)
        choices = {"width": 8 + k % 3, "repeat": k // 3}
        found.append(replace(made, origin=Origin("proposed", origin), parameters=choices))
    best = sorted((c for c in found if c.has(PROBED)), key=lambda c: -(c.quality or 0.0))[:8]
    for c in best:
        number = found.index(c)
        made = winner(number, c.latency_ms, (c.quality or 0.0) + 0.6)
        found[number] = replace(made, origin=c.origin, parameters=c.parameters)
    return [on_pictures(candidate) for candidate in found]
