"""What a study takes from outside of its settings, remembered, so that a change is noticed.

Pictures, a teacher and weights to begin from are named in the settings by where they lie. What
lies there may change between two runs of a study, or differ between its workers; results would
then be compared that have nothing in common. `inputs.json` in the study's folder holds digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.durable import read_record, write_aside
from nas.ledger import SETTINGS, as_json
from search_spaces.base import Architecture
from trainers.base import DataError, Digests, KnowsItsPictures, Shows, Task
from trainers.data.fingerprint import of_examples

INPUTS = "inputs.json"
_JUDGED, _TRAINED, _NOTES = "judged_by", "trained_on", "notes"
_NAMED = 3


def compare_pictures(folder: Path, task: Task) -> tuple[str, ...]:
    """Hold the pictures of a task against those that the study was begun with, or remember them.

    Returns:
        What is to be told of pictures to train on that changed since, in this run or before.

    Raises:
        DataError: the pictures to judge by are others; the message names them.
    """
    judged, trained = _digests(task)
    known = _read(folder)
    if not (folder / SETTINGS).is_file():
        # Nothing was begun here, whatever a run that was refused has left.
        known = {}
    if _JUDGED not in known:
        _write(folder, {**known, _JUDGED: judged, _TRAINED: trained, _NOTES: []})
        return _unknown_until_now(folder)
    changed = _changes(known[_JUDGED], judged)
    if changed:
        raise DataError(
            f"{folder} was begun with other pictures to judge by ({changed}), and results of both "
            "cannot be compared: put the pictures back (without task.data.val they are drawn from "
            "task.data.train, and others are drawn when its pictures change), or give "
            "study.name=<another>"
        )
    notes = list(known[_NOTES])
    changed = _changes(known[_TRAINED], trained)
    told = (
        f"pictures to train on are not those that the study was begun with ({changed}): networks "
        "that were trained before have not seen the same"
    )
    if changed and told not in notes:
        notes.append(told)
        _write(folder, {**known, _NOTES: notes})
    return tuple(notes)


def _digests(task: Task) -> tuple[Digests, Digests]:
    """Of the pictures to judge by, and of those to train on where the task tells them."""
    if isinstance(task, KnowsItsPictures):
        return task.judged_by, task.trained_on
    return of_examples(task.examples()) if isinstance(task, Shows) else (), ()


def remembered_notes(folder: Path) -> tuple[str, ...]:
    """What changed in the course of a study, for its report."""
    return tuple(_read(folder).get(_NOTES, ()))


def remembered_pictures(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the pictures that a study trains on, and of those that it judges by."""
    known = _read(folder)
    trained, judged = (
        tuple(PurePath(str(name)).name for name, _ in known.get(entry, ()))
        for entry in (_TRAINED, _JUDGED)
    )
    return trained, judged


def compare_network(
    folder: Path,
    role: str,
    source: str,
    network: tuple[Architecture, Mapping[str, NDArray[Any]]],
) -> None:
    """Hold a trained network that a study begins from or imitates against what it was at first.

    Args:
        folder: of the study.
        role: the setting that names it, `weights` or `teacher`.
        source: where it lies.
        network: what lies there now.

    Raises:
        DataError: it is another one.
    """
    known, now = _read(folder), _network_digest(*network)
    if known.setdefault(role, now) != now:
        raise DataError(
            f"{folder} was begun with another network in {source} ({role}), which was trained "
            "anew since: put it back, or give study.name=<another>"
        )
    _write(folder, known)


def _network_digest(architecture: Architecture, weights: Mapping[str, NDArray[Any]]) -> str:
    found = blake2b(architecture.id.encode(), digest_size=8)
    for name in sorted(weights):
        found.update(name.encode())
        found.update(np.ascontiguousarray(weights[name]).tobytes())
    return found.hexdigest()


def _unknown_until_now(folder: Path) -> tuple[str, ...]:
    if not (folder / SETTINGS).is_file():
        return ()
    return (
        "the study was begun before pictures were remembered: whether they changed since is not "
        "known",
    )


def _changes(before: Digests, now: Digests) -> str:
    """What was added, is gone or was changed, in a few words; empty where nothing was."""
    one, other = [tuple(entry) for entry in before], [tuple(entry) for entry in now]
    if [found for _, found in one] == [found for _, found in other]:
        return ""
    names, names_now = {name for name, _ in one}, {name for name, _ in other}
    changed = {name for name, _ in {*one} ^ {*other}} & names & names_now
    parts = [
        f"{_listed(group)} {word}"
        for group, word in (
            (names_now - names, "added"), (names - names_now, "gone"), (changed, "changed"),
        )
        if group
    ]
    return ", ".join(parts) or "their order changed"


def _listed(names: set[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(sorted(names)[:_NAMED]) + more


def _read(folder: Path) -> dict[str, Any]:
    path = folder / INPUTS
    if not path.is_file():
        return {}
    return read_record(
        path, _known, remedy="remove it, and what lies there now is what the study is held against"
    )


def _known(data: Any) -> dict[str, Any]:
    found = dict(data)
    for entry in (_JUDGED, _TRAINED):
        _changes(found.get(entry, ()), ())
    found[_NOTES] = list(map(str, found.get(_NOTES, ())))
    return {key: value for key, value in found.items() if value != [] or key in data}


def _write(folder: Path, known: Mapping[str, Any]) -> None:
    if known != _read(folder):
        write_aside(folder / INPUTS, as_json(known).encode())
