"""The command lines of README.md, docs/ and the helps, as a reader would copy them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")))
PROGRAMS = ("nas", ".venv/bin/nas", "make", "pip", "python", "pytest")
_FENCE = re.compile(r"```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^    .*\n(?:\n(?=    ))*)+", re.MULTILINE)
_NO_SHELL = ("python", "yaml", "json")
_SHELL = ("sh", "bash", "console")


def lines_of(page: str) -> list[str]:
    """What the page says to type, in its order."""
    blocks = _blocks((ROOT / page).read_text())
    return [line for language, block in blocks if _is_typed(language, block)
            for line in _typed(block)]


def other_blocks(text: str) -> list[str]:
    """What stands apart on a page and is not to be typed into a shell."""
    return [block for language, block in _blocks(text) if not _is_typed(language, block)]


def examples_of(verb: str, said: str) -> list[str]:
    """What the help of a verb says to type."""
    one = re.search(r"^example: (.*?)(?:\. |$)", said, re.MULTILINE)
    many = [line.strip() for line in said.splitlines() if re.match(rf" +nas {verb}( |$)", line)]
    return [one[1]] if one else many


def begins(block: str) -> bool:
    """Whether a block is something to type."""
    first = block.removeprefix("$ ").split(maxsplit=1)
    return bool(first) and first[0] in PROGRAMS


def _blocks(text: str) -> list[tuple[str, str]]:
    """(language, text) of fenced and indented blocks."""
    found = [(m.start(), m[1], m[2]) for m in _FENCE.finditer(text)]
    rest = _FENCE.sub(lambda m: re.sub(r"[^\n]", "-", m[0]), text)
    found += [(m.start(), "", textwrap.dedent(m[0])) for m in _INDENTED.finditer(rest)]
    return [(language, block) for _, language, block in sorted(found)]


def _is_typed(language: str, block: str) -> bool:
    return language in _SHELL or (language not in _NO_SHELL and begins(block))


def _typed(block: str) -> list[str]:
    """Each line with what continues it; a script with a function as a whole."""
    if block.startswith("$ "):
        return [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    if re.search(r"^\w+\(\) *\{", block, re.MULTILINE):
        return [f"set -e\n{block}"]
    whole = re.sub(r"\\\n\s*", "", block).splitlines()
    return [line for line in whole if line.strip() and not line.startswith("#")]
