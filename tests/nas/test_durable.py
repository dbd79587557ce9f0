"""Files that outlive a power cut, and evidence that never speaks of data that is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_search import small_candidate, toy_experiment, write_photos

from nas import durable
from nas.durable import aside_of, read_checked, tidy, write_aside, write_folder
from nas.evidence import EXPORTED, QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.folder import claim_folder
from nas.ledger import load_arrays
from nas.networks import MANIFEST, UnknownNetwork, _check_manifest
from nas.pipeline import advance
from nas.settings import SettingsError
from nas.stages.quantize import quantize
from nas.trained import FLOAT_WEIGHTS, INT8_WEIGHTS, shipped_file
from trainers.base import Damaged


class Recorder:
    """The order in which bytes and names were sent to the disk."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str]] = []
        fsync, renamed, replaced = os.fsync, os.rename, os.replace

        def sync(handle: int) -> None:
            fsync(handle)
            self.events.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))

        def rename(source: Any, target: Any, **kwargs: Any) -> None:
            renamed(source, target, **kwargs)
            self.events += [("from", str(source)), ("to", str(target))]

        def replace_(source: Any, target: Any, **kwargs: Any) -> None:
            replaced(source, target, **kwargs)
            self.events += [("from", str(source)), ("to", str(target))]

        patch.setattr(os, "fsync", sync)
        patch.setattr(os, "rename", rename)
        patch.setattr(os, "replace", replace_)

    def named(self, path: Path) -> list[int]:
        """When the path got its content by a rename."""
        return [k for k, event in enumerate(self.events) if event == ("to", str(path))]

    def durable(self, path: Path) -> int:
        """When the first content of the path is certain to outlive a power cut."""
        at = self.named(path)[0]
        source = self.events[at - 1][1]
        assert ("sync", source) in self.events[:at], f"{path}: renamed before its bytes were safe"
        after = self.events[at:].index(("sync", str(path.parent)))
        return at + after


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to tell which file a handle belongs to")
    return Recorder(monkeypatch)


def test_a_file_is_safe_before_its_name_and_its_name_before_the_call_returns(
    tmp_path: Path, recorder: Recorder
) -> None:
    write_aside(tmp_path / "a.json", b"{}")
    assert recorder.durable(tmp_path / "a.json") == len(recorder.events) - 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_safe_with_every_file_and_replaces_the_old_one(
    tmp_path: Path, recorder: Recorder
) -> None:
    write_folder(tmp_path / "b", {"one": b"1", "two": b"2"})
    write_folder(tmp_path / "b", {"one": b"3"})
    assert [(p.name, p.read_bytes()) for p in (tmp_path / "b").iterdir()] == [("one", b"3")]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    first = recorder.named(tmp_path / "b")[0]
    synced = {Path(path).name for kind, path in recorder.events[:first] if kind == "sync"}
    assert {"one", "two"} <= synced
    assert recorder.durable(tmp_path / "b") > first


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_aside(tmp_path / "a", b"old")
    write_folder(tmp_path / "b", {"x": b"old"})

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "_write", full)
    for write in (lambda: write_aside(tmp_path / "a", b"new"),
                  lambda: write_folder(tmp_path / "b", {"x": b"new"})):
        with pytest.raises(OSError, match="No space"):
            write()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b" / "x").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


_DIES = """
import os, pathlib, signal, sys
from nas.durable import write_aside, write_folder

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

study, call, count = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
home = os if call == "fsync" else pathlib.Path
there = getattr(home, call)
def counted(*args):
    global count
    count -= 1
    return there(*args) if count else die()
setattr(home, call, counted)
write_aside(study / "candidates" / "trial-1" / "case.json", b"new")
write_folder(study / "winners" / "w.1", {"x": b"new", "y": b"new"})
"""


@pytest.mark.parametrize(
    ("call", "count"),
    [("fsync", k) for k in range(1, 7)] + [("replace", 1), ("rename", 1), ("rename", 2)],
)
def test_what_a_killed_writer_has_left_is_gone_after_the_next_run(
    tmp_path: Path, call: str, count: int
) -> None:
    """And each file and folder is as a whole the old one or the new one."""
    case, bundle = tmp_path / "candidates" / "trial-1" / "case.json", tmp_path / "winners" / "w.1"
    write_aside(case, b"old")
    write_folder(bundle, {"x": b"old"})
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(tmp_path), call, str(count)], check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -signal.SIGKILL
    tidy(tmp_path)
    assert case.read_bytes() in (b"old", b"new")
    found = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert found in ({"x": b"old"}, {"x": b"new", "y": b"new"})
    for folder, name in ((case.parent, case.name), (bundle.parent, bundle.name)):
        assert [path.name for path in folder.iterdir()] == [name]


def test_only_what_writers_have_left_is_tidied_away(tmp_path: Path) -> None:
    kept = [
        ".lock", ".identity", "settings.json", "notes.part", "my.aside", ".hidden.aside",
        "study.journal.lock", "candidates/trial-1/case.json", "candidates/trial-1/training.ckpt",
        "candidates/trial-1/.case.json.notthehexnum.aside", "winners/w/int8.onnx",
    ]
    for name in kept:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "winners")
    left = [
        aside_of(tmp_path / "settings.json"), aside_of(tmp_path / "claims" / "trial-1.0"),
        tmp_path / "candidates" / "trial-1" / "quantized.ckpt.part",
        tmp_path / f"study.journal.lock{uuid.uuid4()}.rename",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    aside_of(tmp_path / "winners" / "w").mkdir()
    tidy(tmp_path)
    there = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert there == set(kept)


def test_a_folder_is_tidied_by_whoever_holds_it_alone(tmp_path: Path) -> None:
    stray = aside_of(tmp_path / "settings.json")
    stray.write_text("half")
    with ExitStack() as others:
        claim_folder(tmp_path, others, together=True)
        with pytest.raises(SettingsError, match="another search is working"), ExitStack() as mine:
            claim_folder(tmp_path, mine, together=False)
        with ExitStack() as mine:
            claim_folder(tmp_path, mine, together=True)
        assert stray.is_file()
    with ExitStack() as mine:
        claim_folder(tmp_path, mine, together=False)
        assert not stray.exists()


def test_a_worker_waits_for_who_only_tidies_up(tmp_path: Path) -> None:
    with ExitStack() as mine:
        alone = ExitStack()
        claim_folder(tmp_path, alone, together=False)
        threading.Timer(0.3, alone.close).start()
        claim_folder(tmp_path, mine, together=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.mark.slow
def test_no_cut_leaves_evidence_of_data_that_is_gone(
    tmp_path: Path, photos: Path, recorder: Recorder
) -> None:
    here = toy_experiment(tmp_path / "study", photos)
    exported = advance(small_candidate(), here, upto=EXPORTED)
    assert exported.has(EXPORTED)
    home = here.ledger.home(exported.name)
    cases = recorder.named(home / "case.json")
    # One case file for each of the six stages; the earliest that a cut may leave is its rename.
    assert len(cases) == 6
    trained, quantized, shipped = cases[3:]
    assert recorder.durable(home / FLOAT_WEIGHTS) < trained
    assert recorder.durable(home / INT8_WEIGHTS) < quantized
    assert recorder.durable(here.folder / exported[EXPORTED].folder) < shipped


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Any:
    here = toy_experiment(tmp_path_factory.mktemp("study"), photos)
    return advance(small_candidate(), here, upto=QUANTIZED), here


@pytest.mark.parametrize("damage", ["zeroed", "one bit", "gone", "of another training"])
@pytest.mark.parametrize("name", [FLOAT_WEIGHTS, INT8_WEIGHTS])
def test_weights_that_changed_since_they_were_judged_do_not_ship(
    quantized: Any, name: str, damage: str
) -> None:
    candidate, here = quantized
    path: Path = here.ledger.home(candidate.name) / name
    before = path.read_bytes()
    flipped = bytearray(before)
    flipped[len(before) // 2] ^= 1
    other = (path.parent / ({FLOAT_WEIGHTS, INT8_WEIGHTS} - {name}).pop()).read_bytes()
    path.unlink()
    contents = {"zeroed": bytes(len(before)), "one bit": bytes(flipped),
                "of another training": other}
    try:
        if damage in contents:
            path.write_bytes(contents[damage])
        precision = "int8" if name == INT8_WEIGHTS else "fp32"
        with pytest.raises(Damaged, match=f"{name}.*remove the folder"):
            shipped_file(candidate, here, precision, 24, 32)
    finally:
        path.write_bytes(before)


def test_a_bundle_says_what_each_of_its_files_was(tmp_path: Path, photos: Path) -> None:
    here = toy_experiment(tmp_path, photos)
    exported = advance(small_candidate(), here, upto=EXPORTED).get(EXPORTED)
    assert exported is not None
    bundle = tmp_path / exported.folder
    manifest = json.loads((bundle / MANIFEST).read_text())
    assert manifest.pop("picture") == {"planes": "rgb", "margin": 3, "multiple": 1}
    assert (manifest.pop("format"), manifest.pop("runs")) == (2, {"precision": "int8"})
    assert set(manifest) == {path.name for path in bundle.iterdir()} - {MANIFEST}
    for name, sha256 in manifest.items():
        read_checked(bundle / name, sha256, remedy="export it again")


def test_a_bundle_whose_file_was_zeroed_is_not_timed(tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    contents = {"int8.onnx": b"a network", "architecture.json": b"{}"}
    manifest = {name: durable.digest(content) for name, content in contents.items()}
    write_folder(tmp_path / "w", contents | {MANIFEST: json.dumps(manifest).encode()})
    path = tmp_path / "w" / "int8.onnx"
    _check_manifest(path)
    path.write_bytes(bytes(9))
    with pytest.raises(UnknownNetwork, match=r"int8\.onnx has changed since"):
        _check_manifest(path)


def test_evidence_from_before_hashes_were_kept_is_read(quantized: Any) -> None:
    candidate, here = quantized
    old = candidate.having(TRAINED, replace(candidate[TRAINED], weights_sha256=""))
    assert shipped_file(old, here, "fp32", 24, 32)
    path = here.ledger.home(candidate.name) / FLOAT_WEIGHTS
    assert load_arrays(path).keys() == load_arrays(path, sha256="").keys()


def test_who_lost_its_claim_writes_no_weights(quantized: Any) -> None:
    from nas.workers.base import Alone, LostClaim

    candidate, here = quantized

    class Lost(Alone):
        def check(self, name: str) -> None:
            raise LostClaim(f"{name} was given to another worker")

    path: Path = here.ledger.home(candidate.name) / INT8_WEIGHTS
    before = path.read_bytes()
    lost: Experiment = replace(here, workers=Lost())
    with pytest.raises(LostClaim):
        quantize(candidate.without(QUANTIZED), lost)
    assert path.read_bytes() == before
