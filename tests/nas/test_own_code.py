"""An exception of a user's file in one line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nas.own_code import described


def error_of(folder: Path, text: str) -> BaseException:
    """What importing this file raises."""
    path = folder / "mine.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("mine_for_a_test", path)
    assert spec is not None and spec.loader is not None
    with pytest.raises(BaseException) as found:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return found.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n{}['a']\n", "KeyError: 'a' (mine.py, line 2)"),
        ("def f(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("import json\n\njson.loads('{')\n", "(mine.py, line 3)"),
        ("raise SystemExit('gone')\n", "SystemExit: gone (mine.py, line 1)"),
        ("raise RuntimeError\n", "RuntimeError (mine.py, line 1)"),
        ("raise ValueError('a\\n line\\n\\nadvice for others')", "ValueError: a line (mine.py"),
        ("raise ValueError('\\x1b[96mred\\x1b[0m')", "ValueError: red (mine.py"),
    ],
)
def test_it_names_the_line_of_the_users_own_file(tmp_path: Path, text: str, words: str) -> None:
    line = described(error_of(tmp_path, text))
    assert words in line and "\n" not in line and "\x1b" not in line


def test_without_a_file_of_the_users_there_is_no_place() -> None:
    try:
        importlib.import_module("no_such_module_at_all")
    except ImportError as error:
        assert described(error.with_traceback(None)) == (
            "ModuleNotFoundError: No module named 'no_such_module_at_all'"
        )
