"""Files as bad disks, editors and half-finished copies leave them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

_INSTEAD: tuple[Any, ...] = (None, 5, -1, "text", "", [], {}, [None], True, 1e400)


def damages(content: bytes, *, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many damaged versions of a file, each with what was done to it."""
    random = Random(seed)
    yield from (
        ("empty", b""),
        ("half of it", content[: len(content) // 2]),
        ("zeros", bytes(len(content))),
        ("not UTF-8", b"\xff\xfe" + content),
        ("another file", b'{"another": "file"}\n'),
        ("a list", b"[]\n"),
        ("a number", b"5\n"),
        ("null", b"null\n"),
    )
    for _ in range(count):
        damaged = bytearray(content)
        place, bit = random.randrange(len(content)), random.randrange(8)
        damaged[place] ^= 1 << bit
        yield f"bit {bit} of byte {place}", bytes(damaged)
        try:
            data = json.loads(content)
        except ValueError:
            continue
        where = random.choice(list(_places(data)))
        value = random.choice(_INSTEAD)
        told = f"{value!r} at {'.'.join(map(str, where))}"
        yield told, json.dumps(_with(data, where, value)).encode()


def _places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else (
        enumerate(data) if isinstance(data, list) else ())
    for key, value in items:
        yield (*at, key)
        yield from _places(value, (*at, key))


def _with(data: Any, where: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(data))
    inner = copy
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    return copy


def put(path: Path, content: bytes) -> None:
    """Replace a file, with a time of change of its own."""
    path.unlink()
    path.write_bytes(content)
