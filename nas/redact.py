"""Passwords stay out of whatever is printed or written."""

from __future__ import annotations

import re
from typing import Any

# A password may hold anything but an `@`, and in a misspelt address that too: whatever lies
# between a user's name and the last `@` of the line is left out, rather too much than too little.
_ADDRESS = re.compile(r"([:/]/[^\s:/]*:).*@")
_SETTING = re.compile(r"(\bstorage\b[^=]*=(?!.*://)[^:=]*:).*@")
_FIELD = re.compile(r"(?i)(\w*(?:password|passwd|client_secret)=)[^&\s\"'*]+")


def redacted(text: str) -> str:
    """Any text without the passwords of the addresses in it."""
    for pattern in (_ADDRESS, _SETTING):
        text = pattern.sub(r"\1***@", text)
    return _FIELD.sub(r"\1***", text)


def redacted_all(values: Any) -> Any:
    """Plain data, every text in it redacted."""
    if isinstance(values, str):
        return redacted(values)
    if isinstance(values, dict):
        return {key: redacted_all(value) for key, value in values.items()}
    return [redacted_all(value) for value in values] if isinstance(values, list) else values


def has_password(text: str) -> bool:
    """Whether there is an address with a password in it."""
    return redacted(text) != text
