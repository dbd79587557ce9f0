"""The plan of the house, kept by reading the code: arrows between rooms, one home per library."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

from nas.evidence import KNOWN

ROOT = Path(__file__).parents[1]
LEAVES = ("search_spaces", "latency_models", "trainers")
ROOMS = ("nas", *LEAVES)
LONGEST = 400
HOMES = {
    "optuna": (
        "nas/study.py", "nas/trials.py", "nas/storage.py", "nas/workers/measuring.py",
        "nas/policies/",
    ),
    "scipy": ("nas/policies/improvement.py",),
    "sqlalchemy": ("nas/storage.py",),
    "wandb": ("nas/tracking/trackers.py",),
    "hydra": (
        "nas/assemble.py", "nas/extras.py", "nas/policies/chosen.py", "nas/workers/sweep.py",
        "nas/commands/overrides.py", "nas/commands/s",
    ),
    "openvino": ("latency_models/engines/ov.py",),
    "onnxruntime": ("latency_models/engines/ort",),
    "tensorrt": ("latency_models/engines/trt",),
    "pytorch_lightning": ("trainers/fit.py", "trainers/module.py", "trainers/watching.py"),
    "av": ("trainers/data/video.py", "nas/play/video.py"),
    "OpenEXR": ("trainers/data/rendered/own.py",),
    "tifffile": ("trainers/data/decode.py", "nas/play/pictures.py"),
    "sqlite3": ("latency_models/cached.py",),
}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@cache
def imported(path: Path) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return frozenset(found)


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_knows_neither_nas_nor_its_siblings(leaf: str) -> None:
    others = set(ROOMS) - {leaf}
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(leaf)
        for name in imported(path)
        if name.split(".")[0] in others
    ]
    assert sources(leaf) and not found


def test_what_ships_knows_nobody() -> None:
    found = {name.split(".")[0] for path in sources("runtime") for name in imported(path)}
    assert not found & {*ROOMS, "torch", "onnx", "openvino", "onnxruntime", "conf"}


@pytest.mark.parametrize("library", HOMES)
def test_a_third_party_library_has_one_home(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in sources(room)
        for name in imported(path)
        if name.split(".")[0] == library
    }
    strangers = {user for user in users if not user.startswith(HOMES[library])}
    assert not strangers
    assert list(ROOT.glob(f"{HOMES[library][0]}*")), "its home has moved"


def test_the_pipeline_is_not_known_to_what_it_uses() -> None:
    order = ["evidence", "candidate", "ledger", "experiment", "stages", "pipeline", "commands"]
    for place, name in enumerate(order[:-1]):
        later = {f"nas.{other}" for other in order[place + 1 :]}
        files = [ROOT / "nas" / f"{name}.py", *(ROOT / "nas" / name).glob("*.py")]
        found = {
            n for path in files if path.is_file() for n in imported(path)
            if any(n == o or n.startswith(f"{o}.") for o in later)
        }
        assert any(path.is_file() for path in files)
        assert not found, f"nas/{name} imports {found}"


def test_no_stage_is_named_outside_the_place_that_owns_it() -> None:
    found = []
    for path in sources("nas"):
        if path.name == "evidence.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            # What people are told may be the same word.
            inner = [] if isinstance(node, ast.keyword) and node.arg == "done" else [
                child for child in ast.iter_child_nodes(node) if isinstance(child, ast.Constant)
            ]
            found += [f"{path.relative_to(ROOT)}: {c.value}" for c in inner if c.value in KNOWN]
    assert not found


def test_what_screening_imports_is_light() -> None:
    """A measuring child starts in half a second: no torch outside its own engine."""
    for path in sources("latency_models"):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            heavy = {n.split(".")[0] for n in names} & {"torch", "openvino", "onnxruntime"}
            assert not heavy, f"{path.relative_to(ROOT)} imports {heavy} when it is loaded"


def private(name: str) -> bool:
    """Whether a name begins with one underscore and does not end with one, as `_target_` does."""
    return name.startswith("_") and not name.endswith("_")


def reached_into(tree: ast.AST) -> set[str]:
    """Private attributes of objects other than `self`, and private parts of Optuna."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            found.update(() if own else {ast.unparse(node)})
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("optuna"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found.update(name for name in names if private(name))
    return found


def taken_over(path: Path) -> set[str]:
    """Private attributes that a class reads or sets on `self` and has from a class of Optuna's."""
    module, found = importlib.import_module(f"nas.{_dotted(path)}"), set()
    for node in ast.walk(ast.parse(path.read_text())):
        kind = getattr(module, node.name, object) if isinstance(node, ast.ClassDef) else object
        above = [b for b in inspect.getmro(kind)[1:] if b.__module__.startswith("optuna")]
        for inner in ast.walk(node) if above else ():
            if isinstance(inner, ast.Attribute) and private(inner.attr):
                word = re.compile(rf"\b{inner.attr}\b")
                found.update({inner.attr} if any(word.search(inspect.getsource(b)) for b in above)
                             else ())
    return found


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "nas").with_suffix("").parts)


def test_nothing_private_of_optuna_is_touched() -> None:
    """What Optuna calls private changes without notice; settings_help reads OmegaConf's nodes."""
    users = [path for path in sources("nas") if path.name != "settings_help.py"]
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in users
        for name in reached_into(ast.parse(path.read_text())) - {"os._exit"}
    }
    assert not found
    inherited = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in users if any(name.startswith("optuna") for name in imported(path))
        for name in taken_over(path)
    }
    assert not inherited


@pytest.mark.parametrize("line", [
    "study._storage", "self._study._study_id", "trial._trial_id", "a.b()._cached_frozen_trial",
    "from optuna.storages._base import BaseStorage", "from optuna.storages import _CachedStorage",
])  # fmt: skip
def test_what_is_private_is_seen(line: str) -> None:
    assert reached_into(ast.parse(line))
    assert not reached_into(ast.parse("self._storage, trial.number, config._target_"))


@pytest.mark.parametrize("room", (*ROOMS, "tests", "benchmarks"))
def test_no_file_grows_long(room: str) -> None:
    long = {p.name: n for p in sources(room) if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long
