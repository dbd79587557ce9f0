"""Which bundle is meant."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from made_bundles import write_bundle

from nas.evidence import EXPORTED
from nas.play.base import Unplayable
from nas.play.winner import bundle_of


def test_a_winner_is_itself_and_a_run_is_its_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    winner = write_bundle(tmp_path / "runs/mine/winners/1a2b", precisions=("fp32",))
    assert bundle_of(str(winner)) == winner
    assert bundle_of(str(tmp_path / "runs/mine")) == winner
    monkeypatch.chdir(tmp_path)
    assert bundle_of("mine").resolve() == winner


def test_of_several_the_best_of_the_front_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "2", "3"):
        write_bundle(tmp_path / "winners" / name, precisions=("fp32",))

    class Made(SimpleNamespace):
        def has(self, key: object) -> bool:
            return bool(self.folder)

        def __getitem__(self, key: object) -> SimpleNamespace:
            assert key is EXPORTED
            return SimpleNamespace(folder=self.folder)

    with pytest.raises(Unplayable, match="holds 3 winners and nothing that compares them"):
        bundle_of(str(tmp_path))
    front = [Made(folder=f) for f in ("winners/1", "winners/3", "", "winners/gone")]
    monkeypatch.setattr(
        "nas.workers.status.read_status", lambda folder: SimpleNamespace(front=front)
    )
    assert bundle_of(str(tmp_path)) == tmp_path / "winners/3"


def test_what_is_neither_is_told_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(Unplayable, match="nothing is no bundle: give the folder of a winner"):
        bundle_of("nothing")
    (tmp_path / "winners").mkdir()
    with pytest.raises(Unplayable, match="has no winner yet"):
        bundle_of(str(tmp_path))
