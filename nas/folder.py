"""A study's folder: one search at a time works in it, and its settings don't change under it."""

from __future__ import annotations

import fcntl
import json
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig, OmegaConf

from nas.durable import read_record, tidy
from nas.ledger import SETTINGS, SETTINGS_REMEDY, as_json
from nas.offers import OFFERS
from nas.redact import redacted_all
from nas.settings import SettingsError, storage_settings

_OUTSIDE = (
    "runs_dir", "worker", "workers", "cluster", "storage", "tracking", "measuring", "metric",
    "hydra", "variant", "budget_defaults", OFFERS, "crew", "trainer",
)
"""Settings that change where and how a study runs, not what comes of it; `crew` is what older
studies call `workers`."""
_MAY_CHANGE = (
    "candidates", "finalists", "limits", "max_minutes", "patience", "references",
    "training_processes",
)


_MOVED = {"nas.train.OneNetwork": "nas.one_network.OneNetwork"}
"""Classes that older studies know by another name."""
_LOCK = ".lock"
_TIDYING_S, _LOOK_S = 5.0, 0.1
"""How long a worker waits for another that only tidies the folder up."""


def claim_folder(folder: Path, stack: ExitStack, *, together: bool) -> None:
    """Make the study's folder and hold it, so that one search at a time works in it.

    Who holds it alone tidies it up.

    Args:
        together: hold it with the other workers of a sweep, against a search that works alone.

    Raises:
        SettingsError: it is held by others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((folder / _LOCK).open("w"))
    kind = fcntl.LOCK_SH if together else fcntl.LOCK_EX
    until = time.monotonic() + (_TIDYING_S if together else 0.0)
    while not _locked(lock, kind):
        if time.monotonic() >= until:
            raise SettingsError(
                f"another search is working in {folder}: wait for it, or give "
                "study.name=<another>"
            )
        time.sleep(_LOOK_S)
    if not together:
        tidy(folder)


def drop_unused(folder: Path) -> None:
    """Remove a folder that was claimed and holds nothing yet; whoever holds it calls this."""
    if {path.name for path in folder.iterdir()} <= {_LOCK}:
        (folder / _LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # another one is just claiming it
            folder.rmdir()


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def plain_settings(config: DictConfig) -> dict[Any, Any]:
    """All settings as plain data; they are kept in the study's folder, so they hold no password.

    Raises:
        SettingsError: the storage's address is not understood.
    """
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    settings: dict[Any, Any] = redacted_all(resolved)
    if not settings.get("targets"):
        # One target is told as it always was.
        settings.pop("targets", None)
    if "storage" in config:
        settings["storage"]["url"] = storage_settings(config).shown
    return settings


def require_same_settings(folder: Path, settings: dict[Any, Any]) -> None:
    """Refuse settings that would change a study that was begun.

    Raises:
        SettingsError: the study was begun with others; the message names them.
    """
    path = folder / SETTINGS
    if path.is_file():
        before = read_record(path, _fixed, remedy=SETTINGS_REMEDY)
        changed = _differences(before, _fixed(settings))
        if changed:
            raise SettingsError(
                f"{folder} was begun with other settings ({'; '.join(changed[:3])}): "
                "repeat them, or give study.name=<another>"
            )


def _fixed(settings: dict[Any, Any]) -> dict[str, Any]:
    """What must not change between two runs of one study."""
    study = {k: v for k, v in settings["study"].items() if k not in _MAY_CHANGE}
    rest = {k: v for k, v in settings.items() if k not in _OUTSIDE}
    # A logger reads; a callback is handed the network and may end a training or change it.
    if callbacks := (settings.get("trainer") or {}).get("callbacks"):
        rest["trainer.callbacks"] = callbacks
    space = rest.get("search_space") or {}
    if "target" in rest:
        # Studies that say nothing of it were begun when all files took numbers.
        rest["target"] = {"io": "float_nchw", **rest["target"]}
    moved = _MOVED.get(space.get("_target_", ""))
    if moved is not None:
        rest["search_space"] = {**space, "_target_": moved}
    return json.loads(as_json({**rest, "study": study}))  # type: ignore[no-any-return]


def _differences(one: Any, other: Any, at: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted({*one, *other}):
            inner = f"{at}.{key}" if at else key
            found += _differences(one.get(key), other.get(key), inner)
        return found
    return [] if one == other else [f"{at} was {one}, now {other}"]

