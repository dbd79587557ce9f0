"""Find neural networks that are fast enough for real time.

    import nas
    found = nas.search(space, task, nas.Target(max_latency_ms=25), folder="runs/photos")

The functions are those of `nas.api`; they are imported when they are first used, so that
`nas --help` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.api import Found, Pruned, Trained, bench, prune, search, train
    from nas.experiment import Plan
    from nas.formats.export import export
    from nas.pruning import Pruning
    from nas.target import Target
    from trainers.budget import Budget

__all__ = [
    "Budget", "Found", "Plan", "Pruned", "Pruning", "Target", "Trained",
    "bench", "export", "prune", "search", "train",
]
_HOMES = {
    "Budget": "trainers.budget", "Plan": "nas.experiment", "Pruning": "nas.pruning",
    "Target": "nas.target", "export": "nas.formats.export",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nas' has no attribute '{name}'")
    return getattr(import_module(_HOMES.get(name, "nas.api")), name)
