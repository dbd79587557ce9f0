"""The journal: a lock that was left is taken for old wherever the journal lies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

import nas.storage
from nas.storage import JOURNAL, StorageError, journal, storage_at

ROOT = Path(__file__).parents[2]
_DIES = """
import os, signal, sys
from pathlib import Path
from nas.storage import journal
lock = journal(Path(sys.argv[1]))._backend._lock
lock.acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is old after a second here."""
    before = nas.storage.JournalFileSymlinkLock.__init__

    def hasty(self: Any, path: str, grace_period: int = 1) -> None:
        before(self, path, 3)
        self.grace_period = grace_period

    monkeypatch.setattr(nas.storage.JournalFileSymlinkLock, "__init__", hasty)


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


def test_a_lock_that_leads_nowhere_is_no_lock_for_ever(tmp_path: Path) -> None:
    (tmp_path / f"{JOURNAL}.lock").symlink_to("runs/gone/study.journal")
    assert studies(tmp_path / JOURNAL) == 1


def test_a_journal_behind_a_link_has_one_lock(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    lock = journal(tmp_path / "link" / JOURNAL)._backend._lock  # type: ignore[attr-defined]
    lock.acquire()
    assert (tmp_path / "real" / f"{JOURNAL}.lock").exists()
    lock.release()


def test_a_lock_that_another_took_for_old_is_let_go_without_a_word(tmp_path: Path) -> None:
    lock = journal(tmp_path / JOURNAL)._backend._lock  # type: ignore[attr-defined]
    lock.acquire()
    (tmp_path / f"{JOURNAL}.lock").unlink()
    lock.release()


def test_looking_at_a_study_makes_none(tmp_path: Path) -> None:
    for where in (str(tmp_path / "none" / JOURNAL), "postgresql:/me:geheim@db/x"):
        with pytest.raises(StorageError, match=r"there is no such study\.journal") as told:
            storage_at(where)
        assert "geheim" not in str(told.value)
    assert list(tmp_path.iterdir()) == []
