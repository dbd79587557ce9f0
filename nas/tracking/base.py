"""Where runs are shown: settings, and what says that it cannot be done here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["none", "wandb", "tensorboard"]
Mode = Literal["auto", "online", "offline"]


class TrackingUnavailable(Exception):
    """What was asked for is not installed; the message says what to install."""


@dataclass(frozen=True)
class TrackingSettings:
    """Where runs are shown.

    Attributes:
        kind: `none`, `wandb` or `tensorboard`.
        project: of W&B.
        entity: of W&B: a user or a team; None for the account's default.
        mode: of W&B; `auto` is online where it knows an account, else offline.
    """

    kind: Kind = "none"
    project: str = "freeway"
    entity: str | None = None
    mode: Mode = "auto"

    def __post_init__(self) -> None:
        """Refuse what there is not.

        Raises:
            ValueError: the message names the field.
        """
        if self.kind not in ("none", "wandb", "tensorboard"):
            raise ValueError(f"tracking.kind is '{self.kind}': use none, wandb or tensorboard")
        if self.mode not in ("auto", "online", "offline"):
            raise ValueError(f"tracking.mode is '{self.mode}': use auto, online or offline")
        for name in ("project", "entity"):
            if (text := getattr(self, name)) is not None and not 0 < len(text) <= 128:
                raise ValueError(
                    f"tracking.{name} has {len(text)} letters: W&B takes 1 to 128"
                )
