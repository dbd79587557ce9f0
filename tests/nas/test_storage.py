"""The journal and its lock, wherever it lies; a database that is away; names in a dashboard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from finished_studies import PSNR
from optuna.exceptions import StorageInternalError

import nas.storage
from nas.commands import search
from nas.storage import JOURNAL, StorageError, _MendingLock, journal, storage_at
from nas.study import Study
from search_spaces.super_resolution import SuperResolutionSpace

ROOT = Path(__file__).parents[2]
_DIES = """
import os, signal, sys
from pathlib import Path
from nas.storage import _MendingLock, journal
path = Path(sys.argv[1]).resolve()
journal(path)
_MendingLock(path).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is old after a second here."""
    before = nas.storage.JournalFileOpenLock.__init__

    def hasty(self: Any, path: str, grace_period: int = 1) -> None:
        before(self, path, 3)
        self.grace_period = grace_period

    monkeypatch.setattr(nas.storage.JournalFileOpenLock, "__init__", hasty)


def killed_while_writing(where: Path, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(where)], cwd=folder, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL


def studies(where: Path) -> int:
    storage = journal(where)
    optuna.create_study(study_name="photos", storage=storage, load_if_exists=True)
    return len(storage.get_all_studies())


@pytest.mark.parametrize("path", ["study/study.journal", "./study/../study/study.journal"])
def test_a_journal_behind_a_relative_path_opens_after_a_kill(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_while_writing(Path(path), tmp_path)
    monkeypatch.chdir(tmp_path)
    assert studies(Path(path)) == 1
    assert [one.name for one in (tmp_path / "study").iterdir()] == [JOURNAL]


def test_a_study_that_was_moved_after_a_kill_opens(tmp_path: Path) -> None:
    killed_while_writing(tmp_path / "study" / JOURNAL, tmp_path)
    (tmp_path / "study").rename(tmp_path / "moved")
    assert studies(tmp_path / "moved" / JOURNAL) == 1


def test_a_journal_behind_a_link_has_one_lock(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    killed_while_writing(tmp_path / "link" / JOURNAL, tmp_path)
    assert (tmp_path / "real" / f"{JOURNAL}.lock").exists()
    assert studies(tmp_path / "link" / JOURNAL) == 1


def test_a_lock_that_another_took_for_old_is_let_go_without_a_word(tmp_path: Path) -> None:
    lock = _MendingLock(tmp_path / JOURNAL)
    lock.acquire()
    (tmp_path / f"{JOURNAL}.lock").unlink()
    lock.release()


def test_looking_at_a_study_makes_none(tmp_path: Path) -> None:
    for where in (str(tmp_path / "none" / JOURNAL), "postgresql:/me:geheim@db/x"):
        with pytest.raises(StorageError, match=r"there is no such study\.journal") as told:
            storage_at(where)
        assert "geheim" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def opened(folder: Path, *, storage: Any = None, **changed: Any) -> Study:
    storage = storage or journal(folder / JOURNAL)
    return Study(storage, name="photos", seed=0, metric=PSNR, **changed)


def test_dashboards_name_the_axes(tmp_path: Path) -> None:
    for _ in range(2):
        names = opened(tmp_path)._study.metric_names
        assert names == ["expected psnr_y (dB)", "latency (ms)"]
    written = (tmp_path / "study.journal").read_text()
    assert written.count("latency (ms)") == 1


class Away:
    """A storage that does not answer for a while."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.left = inner, 0

    def __getattr__(self, name: str) -> Any:
        if name in ("get_all_trials", "get_study_user_attrs") and self.left:
            self.left -= 1
            raise StorageInternalError("the server is gone")
        return getattr(self._inner, name)


@pytest.mark.parametrize("patience_s", [0.0, 60.0])
def test_a_search_that_works_alone_waits_for_its_database_as_it_was_told(
    patience_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.storage._FIRST_WAIT_S", 0.01)
    told: list[str] = []
    away = Away(journal(tmp_path / JOURNAL))
    study = opened(tmp_path, storage=away, patience_s=patience_s, notice=told.append)
    away.left = 3
    if patience_s:
        study.start_from(SuperResolutionSpace())
        assert len(told) == 3 and "the study's database does not answer" in told[0]
    else:
        with pytest.raises(StorageError, match="does not answer"):
            study.start_from(SuperResolutionSpace())


def test_the_command_hands_the_patience_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[float] = []

    @contextmanager
    def assembled(config: Any, **_: Any) -> Iterator[Any]:
        target = SimpleNamespace(max_latency_ms=50.0)
        yield SimpleNamespace(
            folder=tmp_path, plan=SimpleNamespace(name="x", seed=0), target=target,
            task=SimpleNamespace(metric=PSNR), note=print,
        )

    def study(*_: Any, patience_s: float, **__: Any) -> None:
        asked.append(patience_s)
        raise StorageError("enough")

    monkeypatch.setattr("nas.assemble.assemble", assembled)
    monkeypatch.setattr("nas.study.Study", study)
    monkeypatch.chdir(tmp_path)
    assert search.main(["storage.patience_s=77"]) == 2
    assert (asked, capsys.readouterr().err) == ([77.0], "nas: enough\n")
