"""What a search is asked for, held against each other before anything is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from nas.evidence import MAIN
from nas.experiment import Plan
from nas.offers import Offers
from nas.settings import SettingsError
from nas.spaces import check_space
from nas.target import Target
from search_spaces.base import SearchSpace, UnknownName
from search_spaces.branches import FORMS
from search_spaces.modules import NORMS
from search_spaces.references import fitting_reference, reference_named
from trainers.base import Task
from trainers.budget import Budget


@dataclass(frozen=True)
class Asked:
    """What the settings ask for, made and held against each other."""

    plan: Plan
    targets: Mapping[str, Target]
    budget: Budget
    space: SearchSpace
    task: Task
    offers: Offers


def fitting(
    plan: Plan,
    targets: Mapping[str, Target],
    budget: Budget,
    *,
    space: Callable[[], SearchSpace],
    task: Callable[[], Task],
) -> Asked:
    """Make space and task, and hold all of it against each other.

    Args:
        targets: by name, the first one called `main`.

    Raises:
        ValueError: says what does not fit.
        DataError: the pictures are missing or unusable.
    """
    for field, known in (("branches", tuple(FORMS)), ("norm", NORMS)):
        if getattr(budget, field) not in known:
            raise UnknownName(f"budget.{field}", getattr(budget, field), known)
    if plan.limits and len(targets) > 1:
        raise SettingsError("study.limits are those of one target: leave out one of the two")
    if max(plan.limits, default=0.0) > targets[MAIN].max_latency_ms:
        raise SettingsError(
            f"study.limits has {max(plan.limits):g} ms, and nothing slower than "
            f"target.max_latency_ms={targets[MAIN].max_latency_ms:g} is searched: raise that"
        )
    searched = space()
    for name in plan.references:
        reference_named(name)
    made = task()
    for name in plan.references:
        fitting_reference(
            name,
            scale=made.signature.scale,
            in_channels=made.signature.inputs[0].channels,
            out_channels=made.signature.outputs[0].channels,
        )
    if made.crop < 2 or made.crop % 2:
        raise SettingsError(f"task.crop is {made.crop}: use an even number, networks may halve it")
    if not isfinite(made.baseline()):
        raise SettingsError(
            f"{made.metric.name} of {made.baseline_name} is {made.baseline()}: a task whose "
            "values are not finite cannot rank networks"
        )
    further = {name: target for name, target in targets.items() if name != MAIN}
    offers = check_space(searched, made, targets[MAIN], further)
    return Asked(plan, targets, budget, searched, made, offers)
