"""Modules of the user's: their prints, their exceptions, and what is no network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nas.networks import Form, UnknownNetwork, Unsuitable, resolve

SMALL = Form("fp32", (8, 8))
MODULES = """
import torch
from torch import nn
print("imported")

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        print("made")
        self.c = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        print("run")
        return self.c(x)

class Keyword(Base):
    def forward(self, x, *, strength):
        return self.c(x) * strength

class Nothing(Base):
    def forward(self, x):
        self.c(x)

class Raises(Base):
    def forward(self, x):
        return self.c(x) * {}["scale"]

class Branches(Base):
    def forward(self, x):
        return self.c(x) if x.mean() > 0.5 else self.c(x) * 2

ready = Base()
def leaves(): raise SystemExit("weights missing")
def lazy(): return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
def huge():
    with torch.device("meta"):
        return nn.Linear(2**15, 2**14)
"""
NAME = "prints_of_mine"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / f"{NAME}.py").write_text(MODULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    return tmp_path


@pytest.mark.parametrize("what", ["Base", "ready", "lazy"])
def test_what_a_module_prints_stays_off_the_output(
    folder: Path, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert resolve(f"{NAME}:{what}").file(SMALL, "openvino")
    told = capfd.readouterr()
    assert told.out == "" and "imported" in told.err


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("Keyword", "TypeError: missing a required argument: 'strength'"),
        ("Nothing", "gives no tensor"),
        ("Raises", rf"KeyError: 'scale' \({NAME}.py, line 26\)"),
        ("Branches", rf"data-dependent expression.*\({NAME}.py, line 30\)"),
        ("leaves", rf"SystemExit: weights missing \({NAME}.py, line 33\)"),
        ("huge", "holds 2.1 GB of weights, .* protobuf message"),
    ],
)
def test_the_cause_is_told_and_not_the_exporters_advice(
    folder: Path, what: str, words: str
) -> None:
    with pytest.raises(Unsuitable, match=words) as found:
        resolve(f"{NAME}:{what}").file(SMALL, "openvino")
    line = str(found.value)
    assert "\n" not in line and "\x1b" not in line
    assert "step 1/3" not in line and "pytorch.org" not in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n1 / 0\n", r"ZeroDivisionError: division by zero \(bad_of_mine.py, line 2\)"),
        ("def f(:\n", r"SyntaxError: invalid syntax \(bad_of_mine.py, line 1\)"),
        ("import sys\nsys.exit('gone')\n", r"SystemExit: gone \(bad_of_mine.py, line 2\)"),
        ("import no_such_thing\n", r"No module named 'no_such_thing' \(bad_of_mine.py, line 1\)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(
    folder: Path, text: str, words: str
) -> None:
    (folder / "bad_of_mine.py").write_text(text)
    with pytest.raises(UnknownNetwork, match=words):
        resolve("bad_of_mine:f")


def test_a_missing_exporter_is_told_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "onnxscript"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(Unsuitable, match="needs onnxscript.*pip install onnxscript"):
        resolve(f"{NAME}:Base").file(SMALL, "openvino")


def test_what_the_exporter_needs_comes_with_the_product() -> None:
    import tomllib

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    wanted = tomllib.loads(text)["project"]["dependencies"]
    assert any(name.startswith("onnxscript") for name in wanted)
