"""Passwords stay out of whatever is printed or written."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(://[^/\s:@\"']*):[^/\s@\"']+@")
_FIELD = re.compile(r"(?i)(password=)[^&\s\"'*]+")


def redacted(text: str) -> str:
    """Any text without the passwords of the addresses in it."""
    return _FIELD.sub(r"\1***", _ADDRESS.sub(r"\1:***@", text))


def has_password(text: str) -> bool:
    """Whether there is an address with a password in it."""
    return redacted(text) != text
