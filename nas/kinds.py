"""Whether a value is of a type, and what is due instead, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_LARGEST, _HUGE = 2**63, 1e18
_LONGEST = 200
_SCALARS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "null",
}


def wanted(kind: Any, value: Any) -> str:
    """What a value of this type is, in words; nothing where this one is of it.

    Of classes nothing is known, so anything passes.
    """
    inner, origin = get_args(kind), get_origin(kind)
    if origin in (Union, UnionType):
        told = [wanted(one, value) for one in inner]
        return "" if "" in told else " or ".join(dict.fromkeys(told))
    if origin is Literal:
        fits = isinstance(value, str) and value in inner
        return "" if fits else one_of(inner) + meant(value, inner)
    if kind in _SCALARS:
        return _wanted_scalar(kind, value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Sequence):
        return _wanted_list(origin, inner, value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return "" if isinstance(value, Mapping) else "names with values, as {a: 1}"
    return ""


def _wanted_scalar(kind: type, value: Any) -> str:
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _SCALARS[kind]
        return "" if -_HUGE < value < _HUGE else "a number that is finite and not that large"
    if type(value) is not kind:
        return _SCALARS[kind]
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return f"a whole number of less than {len(str(_LARGEST))} digits"
    return ""


def _wanted_list(origin: type, inner: tuple[Any, ...], value: Any) -> str:
    if not isinstance(value, list | tuple):
        return "a list, as [a, b]"
    pair = origin is tuple and Ellipsis not in inner
    if pair and len(value) != len(inner):
        return f"a list of {len(inner)}"
    kinds = inner if pair else inner[:1] * len(value)
    told = [wanted(kind, one) for kind, one in zip(kinds, value, strict=True)]
    return next((f"a list, each of it {use}" for use in told if use), "")


def one_of(known: Sequence[Any]) -> str:
    """`a, b or c`."""
    *first, last = map(str, known)
    return f"{', '.join(first)} or {last}" if first else last


def require_types(record: object) -> None:
    """Refuse a frozen record that holds what its fields are not for, as a damaged file may give.

    Numbers that are not finite are fine there: a broken network is judged by such.

    Raises:
        TypeError: names the field.
    """
    for name, kind in get_type_hints(type(record)).items():
        value = getattr(record, name)
        if is_dataclass(value):
            require_types(value)
        elif use := wanted(kind, _finite(value)):
            raise TypeError(f"{type(record).__name__}.{name} is {shortened(value)}: {use} is due")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else 0.0
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def meant(name: object, known: Sequence[Any]) -> str:
    """What was probably meant, to stand behind what is unknown; nothing where nothing is like it.
    """
    close = get_close_matches(str(name), [str(one) for one in known], 1)
    return f" (did you mean {close[0]}?)" if close else ""


def shortened(value: object) -> str:
    """A value for a message: its beginning where it is long."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
