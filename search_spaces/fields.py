"""What every space checks of its own fields, with one wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search_spaces.base import SearchSpace, UnknownName

_MOST = 2**16
"""Wider and deeper than any network; a mistyped number would ask for all memory there is."""


def check_names(space: SearchSpace, known: Mapping[str, Sequence[str]]) -> None:
    """Refuse a field that is empty or names what does not exist.

    Args:
        known: the names that each field may hold.

    Raises:
        UnknownName: a field holds another name.
        ValueError: a field is empty.
    """
    for field, names in known.items():
        entries = getattr(space, field)
        if not entries:
            raise ValueError(f"search_space.{field} is empty: give at least one")
        for entry in entries:
            if entry not in names:
                raise UnknownName(f"entry of search_space.{field}", str(entry), names)


def check_counts(field: str, values: Sequence[object], *, least: int = 1) -> None:
    """Refuse a field that is empty or holds anything but whole numbers from `least` to `_MOST`.

    Raises:
        ValueError: it does.
    """
    if not values:
        raise ValueError(f"search_space.{field} is empty: give at least one")
    for value in values:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value not in range(least, _MOST + 1):
            raise ValueError(
                f"search_space.{field} holds {value!r}: use whole numbers from {least} to {_MOST}"
            )


def check_kernels(field: str, values: Sequence[object]) -> None:
    """Refuse kernel sizes that no "same" padding fits.

    Raises:
        ValueError: one is even, or no whole number.
    """
    check_counts(field, values)
    if any(isinstance(value, int) and value % 2 == 0 for value in values):
        raise ValueError(f"search_space.{field} is {list(values)}: use odd numbers")
