"""The end of a search: the front beside what it must beat, and the report that shows it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from nas.candidate import Candidate
from nas.confidence import Scored
from nas.curves import history
from nas.durable import write_aside
from nas.evidence import PROBED, QUANTIZED, TRAINED
from nas.experiment import Experiment, Rig
from nas.forecast import forecasts, horizon_of
from nas.inputs import remembered_notes
from nas.ledger import REPORT
from nas.report.compiled import Compiled, conclude_compiled
from nas.report.crops import Crop, CropRow, choose_crop
from nas.report.describe import command_line, figure
from nas.report.funnel import funnel, is_winner
from nas.report.page import Circumstances, render
from nas.report.summary import Summary, summarize
from nas.report.tables import print_table
from nas.report.work_plots import Curve
from nas.report.worth import Worth, worth_of
from nas.table.simulation import outcome_words
from nas.trained import engine_run
from trainers.base import Example, Pixels, Shows
from trainers.data.planes import shown

_WINNERS_SHOWN = 3
_PICTURES_SHOWN = 6


@dataclass(frozen=True)
class Outcome:
    """What a search leaves: numbers for the terminal, and where the report lies."""

    summary: Summary
    report: Path
    worth: Worth

    def show(self, console: Console) -> None:
        """Print it."""
        print_table(console, self.summary, report=self.report, worth=self.worth)


def conclude(
    experiment: Experiment, candidates: Sequence[Candidate], *, notes: Sequence[str] = ()
) -> Outcome | Compiled:
    """Summarize, let the winners enlarge the validation pictures, and write the report."""
    if not experiment.trains:
        compiled = conclude_compiled(experiment, candidates)
        _date_after_evidence(compiled.report)
        return compiled
    task = experiment.task
    further = {n: rig for n, rig in experiment.rigs.items() if rig is not experiment.main}
    names, unaided = [], []
    if isinstance(task, Shows):
        names = [example.name for example in task.examples()]
        unaided = [task.judge(task.unaided(example), example) for example in task.examples()]
    summary = summarize(
        candidates,
        target=experiment.target,
        metric=task.metric,
        baseline=task.baseline(),
        baseline_name=task.baseline_name,
        baseline_scores=unaided,
        horizon=experiment.plan.horizon,
        further={name: rig.target for name, rig in further.items()},
        limits_ms=experiment.plan.limits,
    )
    counted, notes = funnel(candidates), list(notes)
    if experiment.simulated:
        counted = replace(counted, winners=len(summary.winners))
        notes.append(outcome_words(experiment, candidates))
        experiment.note(notes[-1])
    expected = forecasts(candidates, experiment)

    def forecast(candidate: Candidate) -> Scored | None:
        told = expected.get(candidate.name)
        return None if told is None else Scored(told.mean)

    limit_ms = experiment.target.max_latency_ms
    worth = worth_of(
        candidates, task.metric, limit_ms, judge=forecast, by=_forecast_of(experiment)
    )
    path = experiment.folder / REPORT
    told = (*getattr(task, "notices", ()), *remembered_notes(experiment.folder))
    text = render(
        summary,
        counted,
        candidates,
        [] if experiment.simulated else _pictures(experiment, candidates),
        plan=experiment.plan,
        circumstances=Circumstances(
            date=datetime.now().strftime("%Y-%m-%d %H:%M"),
            images=names,
            notes=[*told, *notes],
            time_again=_time_again(experiment, experiment.main),
            elsewhere_again={n: _time_again(experiment, rig) for n, rig in further.items()},
        ),
        worth=worth,
        curves={c.name: _losses(experiment, c) for c in candidates},
    )
    # A reader sees the old one or the new one, never half of it.
    write_aside(path, text.encode())
    _date_after_evidence(path)
    return Outcome(summary, path, worth)


def _losses(experiment: Experiment, candidate: Candidate) -> Curve:
    """Of its full training, or of the first steps where there was none."""
    rows = history(experiment.ledger.home(candidate.name))
    for key in (f"{stage.name}/loss" for stage in (TRAINED, PROBED)):
        if found := [(row["step"], row[key]) for row in rows if key in row]:
            return found
    return ()


def _forecast_of(experiment: Experiment) -> str:
    if horizon_of(experiment) is None:
        return "the forecast of the full training"
    return f"the forecast of a training of {experiment.plan.horizon:,} steps"


def _time_again(experiment: Experiment, rig: Rig) -> str:
    """The command that times a bundle once more, from the folder where the search ran."""
    target = rig.target
    bench = command_line("bench", str(experiment.folder))
    threads = f" --threads {target.threads}" if target.threads > 1 else ""
    return f"{bench}/{{folder}} --engine {target.engine}{threads}"


def _pictures(experiment: Experiment, candidates: Sequence[Candidate]) -> list[CropRow]:
    """Pieces of some validation pictures: without a network, by the networks, and the truth."""
    winners = sorted((c for c in candidates if is_winner(c)), key=lambda c: -c.latency_ms)
    chosen = winners[:_WINNERS_SHOWN] + [
        c for c in candidates if not c.is_proposal and c.has(QUANTIZED)
    ]
    task = experiment.task
    if not isinstance(task, Shows):
        return []
    every = task.examples()
    # Spread over all of them: neighbours are often of one kind.
    few = every[:: -(-len(every) // _PICTURES_SHOWN)]
    return [_row(task, experiment, chosen, example) for example in few]


def _row(
    task: Shows, experiment: Experiment, chosen: Sequence[Candidate], example: Example
) -> CropRow:
    outputs: dict[str, Pixels] = {experiment.task.baseline_name: task.unaided(example)}
    for candidate in chosen:
        name = candidate.architecture.id if candidate.is_proposal else candidate.name
        outputs[name] = task.picture(engine_run(candidate, experiment), example)
    metric = experiment.task.metric
    figures = [figure(metric, task.judge(pixels, example)) for pixels in outputs.values()]
    pictures = [shown(pixels) for pixels in (*outputs.values(), example.high)]
    rows, columns = choose_crop(pictures[-1], *pictures[:-1])
    crops = [
        Crop(name, words, picture[rows, columns])
        for name, words, picture in zip(
            (*outputs, "original"), (*figures, ""), pictures, strict=True
        )
    ]
    return CropRow(example.name, crops)


def _date_after_evidence(report: Path) -> None:
    """Let the report be newer than what it tells of, also where the clock was set back."""
    cases = report.parent.glob("candidates/*/case.json")
    newest = max((case.stat().st_mtime_ns for case in cases), default=0)
    if newest > report.stat().st_mtime_ns:
        os.utime(report, ns=(newest, newest))
