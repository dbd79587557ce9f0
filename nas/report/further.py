"""What a task tells beside its metric: of what nobody trains, and of the winners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.candidate import Candidate
from nas.experiment import Experiment
from nas.report.funnel import is_winner
from nas.trained import engine_run
from trainers.base import ComparesFurther, Metric


def further_words(experiment: Experiment, candidates: Sequence[Candidate]) -> list[str]:
    """A line for each further metric; none where the task has none or nothing was run."""
    task = experiment.task
    if experiment.simulated or not isinstance(task, ComparesFurther):
        return []
    found: dict[str, Mapping[Metric, float]] = {
        name: task.further(run) for name, run in task.rivals().items()
    }
    for candidate in candidates:
        if is_winner(candidate):
            name = candidate.architecture.id if candidate.is_proposal else candidate.name
            found[name] = task.further(engine_run(candidate, experiment))
    metrics = dict.fromkeys(metric for values in found.values() for metric in values)
    return [_line(metric, {name: values[metric] for name, values in found.items()})
            for metric in metrics]


def _line(metric: Metric, values: Mapping[str, float]) -> str:
    better = "more" if metric.mode == "max" else "less"
    unit = f" in {metric.unit}" if metric.unit else ""
    told = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    return f"{metric.name}{unit}, {better} is better: {told}"
