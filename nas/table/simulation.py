"""A search that a table answers: whether the table fits what was asked for, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nas.candidate import Candidate
from nas.evidence import SCREENED, TRAINED
from nas.experiment import Experiment, Plan, Stage
from nas.table.base import About, read, refuse_unless_fits


@dataclass(frozen=True)
class Simulation:
    """What takes the place of a search's machine.

    Attributes:
        words: what answers and how well, in one line.
    """

    about: About
    stages: Sequence[Stage]
    words: str


def simulation_for(config: DictConfig, plan: Plan) -> Simulation | None:
    """The simulation that the settings ask for, or None.

    Raises:
        TableError: there is no such table, or it does not fit the search.
    """
    if plan.table is None:
        return None
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    return simulation_of(Path(plan.table).expanduser(), {str(k): v for k, v in settings.items()})


def simulation_of(path: Path, settings: Mapping[str, Any]) -> Simulation:
    """Fit the table at this path, after a look whether it fits these settings.

    Raises:
        TableError: it does not.
    """
    about, entries = read(path)
    refuse_unless_fits(about, settings, where=str(path))
    # The fits need scikit-learn, which a search that measures does not load.
    from nas.table.answers import Table
    from nas.table.stages import refuse_probe, stages_from

    table = Table(about, entries)
    refuse_probe(table, settings["study"]["probe_steps"], where=str(path))
    errors = {error.what: error for error in table.errors}
    latency = errors[f"{settings['target']['precision']} latency"]
    final = errors["final metric"]
    words = (
        f"simulation: {path.name} answers for {len(entries)} measured networks, of which "
        f"{final.networks} were trained; others are estimated (off by {latency.rmse:.2g} ms and "
        f"{final.rmse:.2g} {about.metric.unit}); published networks are left out"
    )
    return Simulation(about, stages_from(table), words)


def outcome_words(experiment: Experiment, candidates: Sequence[Candidate]) -> str:
    """What a simulated search would have cost, and what its figures are."""
    from nas.parallel import processes_for
    from nas.report.describe import duration
    from nas.table.stages import simulated_s

    trained = sum(c.has(TRAINED) for c in candidates)
    at_once = processes_for(experiment.plan, trained, gpu=False)
    seconds = simulated_s(candidates, at_once=at_once)
    estimated = sum(c.has(SCREENED) and c[SCREENED].estimated for c in candidates)
    return (
        f"This was a simulation. A table of measured networks answered, and a fit to it for "
        f"{estimated} of {len(candidates)} networks that are not there. Nothing was trained or "
        f"exported; metrics are those before quantization. The search itself would have taken "
        f"about {duration(seconds)}, with {at_once} finalists trained at a time."
    )
