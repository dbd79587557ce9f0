"""Whether an ONNX file keeps its weights elsewhere, told without the package that reads ONNX.

What is looked through is the wire format of protocol buffers (protobuf.dev/programming-guides/
encoding) with the numbers that onnx.proto3 gives its fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Which messages lie in which, by the number of the field."""
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def external_data(onnx: bytes) -> list[str]:
    """Where tensors of an ONNX file lie outside of it; empty where it holds its own.

    Raises:
        ValueError: it is no such file.
    """
    found: list[str] = []
    left: list[tuple[str, memoryview]] = [("model", memoryview(onnx))]
    while left:
        kind, message = left.pop()
        if kind == "tensor":
            found += _places(message)
            continue
        for number, value in _fields(message):
            inner = _INSIDE[kind].get(number)
            if inner is not None and isinstance(value, memoryview):
                left.append((inner, value))
    return found


def _places(tensor: memoryview) -> list[str]:
    entries, is_external = [], False
    for number, value in _fields(tensor):
        if number == _EXTERNAL_DATA and isinstance(value, memoryview):
            entries.append(dict(_fields(value)))
        is_external |= number == _DATA_LOCATION and value == _EXTERNAL
    if not (entries or is_external):
        return []
    named = [_text(e.get(_VALUE)) for e in entries if _text(e.get(_KEY)) == "location"]
    return named or ["another file"]


def _text(value: int | memoryview | None) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, memoryview) else ""


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message by number; what is neither a number nor bytes is passed over.

    Raises:
        ValueError: it ends in the middle of one, or is something else.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind, value, end = tag & 7, 0, at
        if kind == _VARINT:
            value, end = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            end = at + size
        elif kind in (_FIXED32, _FIXED64):
            end = at + (4 if kind == _FIXED32 else 8)
        else:
            raise ValueError("it cannot be parsed")
        if end > len(message):
            raise ValueError("its end is missing")
        yield tag >> 3, message[at:end] if kind == _BYTES else value
        at = end


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("its end is missing")
        byte = message[at]
        value, at = value | (byte & 0x7F) << shift, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("it cannot be parsed")
