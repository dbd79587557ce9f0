"""What a space offers the sampler, kept to be compared when a study is carried on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.durable import read_record
from nas.ledger import SETTINGS, SETTINGS_REMEDY
from search_spaces.base import Architecture, Chooser

OFFERS = "offers"
"""Where a study's settings keep them."""
_PLAIN = (str, int, float, bool, type(None))
_SHOWN = 12
Offers = dict[str, Any]


class InvalidSpace(ValueError):
    """The space asks for what a search cannot answer; the message says what to write instead."""


@dataclass
class Checked(Chooser):
    """Passes questions on to the sampler, those that it and the study's storage can hold.

    Attributes:
        inner: what answers.
        offered: what was asked so far, by this and by earlier proposals.
    """

    inner: Chooser
    offered: dict[str, list[Any]] = field(default_factory=dict)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer from low to high, both included.

        Raises:
            InvalidSpace: a limit is no whole number, or there is none between them.
        """
        for value in (low, high, step):
            if not isinstance(value, int):
                raise InvalidSpace(
                    f"search_space gives '{name}' the limit {value!r} ({_kind(value)}): use int"
                )
        if low > high or step < 1:
            raise InvalidSpace(
                f"search_space offers nothing for '{name}': {low} to {high} in steps of {step}"
            )
        words = f"{low} to {high}" + (f" in steps of {step}" if step > 1 else "")
        ranges = self.offered.setdefault(name, [])
        if words not in ranges:
            ranges.append(words)
        return self.inner.suggest_int(name, low, high, step=step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices.

        Raises:
            InvalidSpace: there are none, they are of a kind that is not kept, or the name stood
                for others.
        """
        options = list(choices)
        if not options:
            raise InvalidSpace(f"search_space offers nothing for '{name}': give a choice at least")
        for option in options:
            if not isinstance(option, _PLAIN):
                raise InvalidSpace(
                    f"search_space offers {option!r} ({_kind(option)}) for '{name}', and a study "
                    "keeps names, numbers and truth values of Python only: "
                    + ("give int(...) or float(...) of it" if hasattr(option, "dtype") else
                       "offer a name or a number for it, and look it up in propose")
                )
        self._note(name, options)
        return self.inner.suggest_categorical(name, options)

    def _note(self, name: str, options: list[Any]) -> None:
        before = self.offered.setdefault(name, options)
        if before != options or list(map(type, before)) != list(map(type, options)):
            raise InvalidSpace(
                f"search_space asks for '{name}' with {_words(options)}, and elsewhere with "
                f"{_words(before)}: one name, one set of choices, so give them two names"
            )

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("suggest"):
            raise AttributeError(name)
        raise InvalidSpace(
            f"search_space asks for chooser.{name}: a chooser has suggest_int and "
            "suggest_categorical; for a number between two limits give some of its values as "
            "choices"
        )


def offers_of(offered: Mapping[str, Any], networks: Sequence[Architecture]) -> Offers:
    """What is kept of a space: its choices, and a digest of the networks that some of them give.

    Args:
        networks: what the same choices gave, in a fixed order.
    """
    digest = hashlib.sha256(" ".join(network.id for network in networks).encode()).hexdigest()
    return {"choices": {k: list(v) for k, v in offered.items()}, "networks": digest[:16]}


def require_same(folder: Path, offers: Offers) -> None:
    """Refuse to carry on a study whose space was edited since it was begun.

    Raises:
        InvalidSpace: names what changed.
    """
    path = folder / SETTINGS
    before = read_record(path, _offered, remedy=SETTINGS_REMEDY) if path.is_file() else None
    if before is None or before == json.loads(json.dumps(offers)):
        return
    one, other = before["choices"], offers["choices"]
    changed = [
        f"'{name}' was {_words(one[name]) if name in one else 'not asked for'}, now "
        f"{_words(other[name]) if name in other else 'not asked for'}"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]
    what = "; ".join(changed) or "the same choices give other networks"
    raise InvalidSpace(
        f"search_space was edited since {folder} was begun ({what}): what is known of its "
        "networks holds no more, so undo that, or give study.name=<another>"
    )


def _offered(settings: Any) -> Offers | None:
    """What the study was begun with; None where that was not kept."""
    offers = settings.get(OFFERS)
    if offers is None:
        return None
    choices = {name: [*options] for name, options in dict(offers["choices"]).items()}
    return {**offers, "choices": choices}


def _words(options: Sequence[Any]) -> str:
    words = [str(option) for option in options[:_SHOWN]]
    return ", ".join(words) + (", ..." if len(options) > _SHOWN else "")


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__} {kind.__name__}"
