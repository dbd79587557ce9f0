"""Callbacks and a logger of Lightning's that the settings name, made anew for each training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from nas.own_code import described

if TYPE_CHECKING:
    from trainers.watching import Extras

_OTHER = "lightning.pytorch."
"""The same library under another name; its callbacks are not those of the one that trains."""


@dataclass(frozen=True)
class TrainerSettings:
    """What every training has beside Freeway's own, as plain data, which other processes take.

    Attributes:
        callbacks: of each its class as `_target_`, and its settings.
        logger: the same.
    """

    callbacks: Sequence[Mapping[str, Any]] = ()
    logger: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what names no class.

        Raises:
            ValueError: the message says where.
        """
        for at, one in (
            *((f"callbacks[{k}]", one) for k, one in enumerate(self.callbacks)),
            *([("logger", self.logger)] if self.logger is not None else []),
        ):
            target = one.get("_target_")
            if not isinstance(target, str):
                raise ValueError(
                    f"trainer.{at} names no class: give _target_, as in "
                    "{_target_: pytorch_lightning.callbacks.LearningRateMonitor}"
                )
            if target.startswith(_OTHER):
                raise ValueError(
                    f"trainer.{at} is {target}: Freeway trains with the package "
                    f"pytorch_lightning, so write pytorch_lightning.{target[len(_OTHER):]}"
                )


def extras_for(
    settings: TrainerSettings, *, candidate: str, training: str, folder: Path
) -> Extras:
    """Callbacks and logger for one training.

    Args:
        candidate: its name, in place of `$candidate` in the settings.
        training: what the training leaves, in place of `$training`.
        folder: of the candidate, in place of `$folder`.

    Raises:
        SettingsError: one of them cannot be made.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    from nas.settings import SettingsError
    from trainers.watching import Extras

    names = {"candidate": candidate, "training": training, "folder": str(folder.resolve())}
    try:
        callbacks = [
            instantiate(_filled(one, names), _convert_="all") for one in settings.callbacks
        ]
        logger: Any = None
        if settings.logger is not None:
            logger = instantiate(_filled(settings.logger, names), _convert_="all")
        return Extras(callbacks, logger, folder)
    except InstantiationException as error:
        cause = error.__cause__ or error
        while cause.__cause__ is not None and isinstance(cause, ImportError):
            cause = cause.__cause__
        raise SettingsError(f"trainer: {described(cause)}") from error
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    """Settings with the names of the present training in their texts."""
    if isinstance(value, str):
        return Template(value).safe_substitute(names)
    if isinstance(value, Mapping):
        return {key: _filled(one, names) for key, one in value.items()}
    return [_filled(one, names) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def beside(
    settings: TrainerSettings, *, candidate: str, training: str, folder: Path
) -> Iterator[Callable[[], Extras] | None]:
    """What makes them for each part of a training; None where there are none.

    Raises:
        SettingsError: one of them failed; the message names it, and the place in a user's file.
    """
    if not settings.callbacks and settings.logger is None:
        yield None
        return
    made: list[Extras] = []

    def make() -> Extras:
        made.append(
            extras_for(settings, candidate=candidate, training=training, folder=folder)
        )
        return made[-1]

    try:
        yield make
    except (Exception, SystemExit) as error:
        blamed = next((name for one in made if (name := one.blamed(error))), "")
        if not blamed:
            raise
        # Not above: a bare machine that measures on a GPU has nothing that reads settings.
        from nas.settings import SettingsError

        raise SettingsError(f"trainer: {blamed} failed: {described(error)}") from error
