"""What a study takes from outside of its settings stays what it was when the study was begun."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from PIL import Image
from real_search import TOY, nas
from toy_search import SMALL, toy_experiment, write_photos

from nas.assemble import assemble
from nas.inputs import INPUTS, compare_network, compare_pictures, remembered_notes
from nas.ledger import SETTINGS
from nas.report.results import conclude
from nas.settings import SettingsError
from nas.workers.base import Alone
from nas.workers.shared_study import prepare
from trainers.base import DataError, Digests, Example, Pixels, Run, Task


@dataclass
class OwnTask:
    """A task that tells nothing but its validation pictures."""

    pictures: list[Example]

    def examples(self) -> list[Example]:
        return self.pictures

    def picture(self, run: Run, example: Example) -> Pixels:
        return self.unaided(example)

    def unaided(self, example: Example) -> Pixels:
        return example.low

    def judge(self, output: Pixels, example: Example) -> float:
        return float((output == example.high).mean())


class KnownTask(OwnTask):
    """A task that tells which pictures it is made of."""

    judged_by: Digests = (("a.png", "1"), ("b.png", "2"))
    trained_on: Digests = (("c.png", "3"), ("d.png", "4"))

    def __init__(self, **changed: Digests) -> None:
        super().__init__([])
        vars(self).update(changed)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder where a study was begun with `KnownTask()`."""
    assert compare(tmp_path, KnownTask()) == ()
    (tmp_path / SETTINGS).write_text("{}")
    return tmp_path


def compare(folder: Path, task: OwnTask) -> tuple[str, ...]:
    known: Task = task  # type: ignore[assignment]
    return compare_pictures(folder, known)


def example(name: str, level: int) -> Example:
    return Example(name, np.full((2, 2, 3), level, np.uint8), np.full((4, 4, 3), level, np.uint8))


@pytest.mark.parametrize(("now", "words"), [
    ((("a.png", "1"), ("x.png", "9")), "x.png added, b.png gone"),
    ((("a.png", "1"), ("b.png", "9")), "b.png changed"),
    ((("a.png", "1"),), "b.png gone"),
    ((("b.png", "2"), ("a.png", "1")), "their order changed"),
    ((("a.png", "1"), ("b.png", "2"), *((f"{k}.png", "7") for k in range(5))),
     "0.png, 1.png, 2.png and 2 more added"),
])  # fmt: skip
def test_other_pictures_to_judge_by_are_refused_by_name(
    study: Path, now: Digests, words: str
) -> None:
    with pytest.raises(DataError, match=f"other pictures to judge by .{words}.*study.name="):
        compare(study, KnownTask(judged_by=now))
    assert compare(study, KnownTask()) == ()


def test_pictures_that_only_have_other_names_are_the_same(study: Path) -> None:
    assert compare(study, KnownTask(judged_by=(("1.png", "1"), ("2.png", "2")))) == ()


def test_other_pictures_to_train_on_are_told_from_then_on(study: Path) -> None:
    grown = KnownTask(trained_on=(*KnownTask.trained_on, ("e.png", "5")))
    (note,) = compare(study, grown)
    assert "pictures to train on are not those" in note and "(e.png added)" in note
    assert compare(study, grown) == (note,)
    # Put back, what was trained in between has still seen others.
    assert compare(study, KnownTask()) == (note,) == remembered_notes(study)


def test_a_study_that_was_not_begun_may_have_other_pictures(study: Path) -> None:
    (study / SETTINGS).unlink()
    assert compare(study, KnownTask(judged_by=(("x.png", "9"),))) == ()
    assert json.loads((study / INPUTS).read_text())["judged_by"] == [["x.png", "9"]]


def test_a_study_from_before_pictures_were_remembered_says_so(study: Path) -> None:
    (study / INPUTS).unlink()
    (note,) = compare(study, KnownTask())
    assert "begun before pictures were remembered" in note
    with pytest.raises(DataError, match="other pictures to judge by"):
        compare(study, KnownTask(judged_by=(("x.png", "9"),)))


def test_the_pictures_of_a_task_of_ones_own_are_compared_too(tmp_path: Path) -> None:
    compare(tmp_path, OwnTask([example("a", 1), example("b", 2)]))
    (tmp_path / SETTINGS).write_text("{}")
    assert compare(tmp_path, OwnTask([example("a", 1), example("b", 2)])) == ()
    with pytest.raises(DataError, match="b changed"):
        compare(tmp_path, OwnTask([example("a", 1), example("b", 3)]))


def test_a_teacher_that_was_trained_anew_is_refused(study: Path) -> None:
    weights = {"n0.weight": np.ones(3, np.float32)}
    for _ in range(2):
        compare_network(study, "teacher", "runs/t", (SMALL, weights))
    compare_network(study, "weights", "runs/w", (SMALL, weights))
    assert compare(study, KnownTask()) == ()
    anew = {"n0.weight": np.zeros(3, np.float32)}
    with pytest.raises(DataError, match="another network in runs/t .teacher., which was trained"):
        compare_network(study, "teacher", "runs/t", (SMALL, anew))


@pytest.fixture
def conf() -> Iterator[None]:
    with initialize_config_module("conf", version_base="1.3"):
        yield


def settings(folder: Path, photos: Path) -> DictConfig:
    chosen = [*TOY, f"runs_dir={folder}", f"task.data.train={photos}", "target.engine=openvino"]
    return compose("config", overrides=chosen)


@pytest.mark.usefixtures("conf")
def test_pictures_that_are_added_move_the_tenth_that_is_kept_and_are_noticed(
    tmp_path: Path
) -> None:
    photos = write_photos(tmp_path / "photos")
    for _ in range(2):
        with assemble(settings(tmp_path, photos)):
            pass
    write_photos(photos / "more", count=9, size=(96, 96))
    with pytest.raises(SettingsError, match="other pictures to judge by") as told:
        with assemble(settings(tmp_path, photos)):
            pass
    assert "\n" not in str(told.value)
    shutil.rmtree(photos / "more")
    with assemble(settings(tmp_path, photos)):
        pass


class Together(Alone):
    """A worker of a sweep, as far as building its experiment is concerned."""

    alone = False


@pytest.mark.usefixtures("conf")
def test_a_worker_that_sees_other_pictures_than_the_sweep_is_refused(tmp_path: Path) -> None:
    photos, told = write_photos(tmp_path / "photos"), list[str]()
    prepare(settings(tmp_path, photos), launcher="", notice=told.append)
    with assemble(settings(tmp_path, photos), workers=Together()):
        pass
    for path in photos.iterdir():
        if path.name != "photo0.png":
            shutil.copy(photos / "photo0.png", path)
    write_photos(photos, count=1, size=(64, 64))
    with pytest.raises(SettingsError, match="other pictures to judge by"):
        with assemble(settings(tmp_path, photos), workers=Together()):
            pass
    with pytest.raises(SettingsError, match="other pictures to judge by"):
        prepare(settings(tmp_path, photos), launcher="", notice=told.append)
    assert not told


def test_what_changed_and_what_was_left_out_stands_in_the_report(
    study: Path, tmp_path: Path
) -> None:
    compare(study, KnownTask(trained_on=(("c.png", "3"),)))
    made = toy_experiment(study, write_photos(tmp_path / "photos"))
    vars(made.task)["notices"] = ("not judged by black.png",)
    text = conclude(replace(made), []).report.read_text()
    assert "not judged by black.png" in text
    assert "d.png gone" in text


def test_a_flat_picture_to_judge_by_does_not_end_a_search(tmp_path: Path) -> None:
    """One black picture: everything was trained, then the report died, at every repetition."""
    write_photos(tmp_path / "val", count=1)
    write_photos(tmp_path / "photos")
    Image.new("RGB", (96, 80)).save(tmp_path / "val" / "black.png")
    arguments = [
        "search", *TOY, "task.data.train=photos", "task.data.val=val", "study.candidates=1",
        "study.finalists=1", "study.references=[]", "target.max_latency_ms=5000",
        "budget.max_steps=2", "study.probe_steps=1",
    ]
    for _ in range(2):
        code, _, errors = nas(*arguments, folder=tmp_path)
        assert (code, errors) == (0, "")
    folder = tmp_path / "runs" / "toy"
    assert "not judged by black.png" in (folder / "report.html").read_text()
    for path in folder.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
