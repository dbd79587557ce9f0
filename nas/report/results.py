"""The end of a search: the front beside what it must beat, and the report that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nas.candidate import Candidate
from nas.experiment import Experiment
from nas.report.crops import Crop, CropRow, choose_crop
from nas.report.page import Circumstances, write_report
from nas.report.summary import Summary, funnel, is_winner, summarize
from nas.stages import engine_run
from trainers.base import Example, Pixels
from trainers.data.imresize import enlarge
from trainers.metrics import psnr_y, to_pixels
from trainers.tasks.super_resolution import as_input

REPORT = "report.html"
_WINNERS_SHOWN = 3


@dataclass(frozen=True)
class Outcome:
    """What a search leaves: numbers for the terminal, and where the report lies."""

    summary: Summary
    report: Path


def conclude(
    experiment: Experiment, candidates: Sequence[Candidate], *, notes: Sequence[str] = ()
) -> Outcome:
    """Summarize, let the winners enlarge the validation pictures, and write the report."""
    task = experiment.task
    summary = summarize(
        candidates, target=experiment.target, metric=task.metric, baseline=task.baseline()
    )
    path = experiment.folder / REPORT
    write_report(
        path,
        summary,
        funnel(candidates),
        candidates,
        _pictures(experiment, candidates),
        plan=experiment.plan,
        circumstances=Circumstances(
            date=datetime.now().strftime("%Y-%m-%d %H:%M"),
            images=[example.name for example in task.examples()],
            notes=list(notes),
        ),
    )
    return Outcome(summary, path)


def _pictures(experiment: Experiment, candidates: Sequence[Candidate]) -> list[CropRow]:
    """Pieces of every validation picture, as bicubic, the networks and the truth show them."""
    winners = sorted((c for c in candidates if is_winner(c)), key=lambda c: -c.latency_ms)
    shown = winners[:_WINNERS_SHOWN] + [c for c in candidates if c.is_reference and c.quantized]
    return [_row(experiment, shown, example) for example in experiment.task.examples()]


def _row(experiment: Experiment, shown: Sequence[Candidate], example: Example) -> CropRow:
    scale = experiment.task.scale
    outputs: dict[str, Pixels] = {"bicubic": enlarge(example.low, scale)}
    for candidate in shown:
        name = candidate.name if candidate.is_reference else candidate.architecture.id
        outputs[name] = to_pixels(engine_run(candidate, experiment)(as_input(example.low)))
    rows, columns = choose_crop(example.high, *outputs.values())
    crops = [
        Crop(name, f"{psnr_y(pixels, example.high, border=scale):.2f} dB", pixels[rows, columns])
        for name, pixels in outputs.items()
    ]
    crops.append(Crop("original", "", example.high[rows, columns]))
    return CropRow(example.name, crops)
