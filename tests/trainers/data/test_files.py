import os
from pathlib import Path

import numpy as np
import pytest

from tests.trainers.conftest import write_photo
from trainers.base import DataError
from trainers.data.clips import read_clips
from trainers.data.files import files_under, printable
from trainers.data.folder import read_folder

LATIN = os.fsdecode(b"caf\xe9")


def names(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in files_under(root, "images").paths]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_photo(tmp_path / "root" / "own" / "a.png")
    return tmp_path / "root"


def test_a_folder_that_is_a_link_is_entered(root: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "elsewhere" / "deeper" / "b.png", seed=1)
    (root / "more").symlink_to(tmp_path / "elsewhere")
    assert names(root) == ["more/deeper/b.png", "own/a.png"]
    folder = read_folder(root, smallest=16, home=tmp_path / "home")
    assert [photo.name for photo in folder.photos] == ["more/deeper/b.png", "own/a.png"]


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert names(tmp_path / "link") == ["own/a.png"]


@pytest.mark.parametrize("goal", [".", "..", "own", "own/.."])
def test_a_link_into_the_folder_or_around_it_shows_no_picture_twice(
    root: Path, goal: str
) -> None:
    (root / "round").symlink_to(root / goal)
    (root / "own" / "back").symlink_to(root)
    assert names(root) == ["own/a.png"]


def test_two_links_to_one_folder_show_it_once(root: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "elsewhere" / "b.png", seed=1)
    for name in ("one", "two"):
        (root / name).symlink_to(tmp_path / "elsewhere")
    assert names(root) == ["one/b.png", "own/a.png"]


def test_a_link_to_a_hidden_folder_is_entered(root: Path) -> None:
    write_photo(root / ".store" / "b.png", seed=1)
    (root / "shown").symlink_to(root / ".store")
    assert names(root) == ["own/a.png", "shown/b.png"]


@pytest.mark.parametrize("name", ["lost.png", "lost"])
@pytest.mark.parametrize("goal", ["/nowhere/at all", "lost.png"])
def test_a_link_that_leads_nowhere_is_a_broken_file(
    root: Path, tmp_path: Path, name: str, goal: str
) -> None:
    (root / name).symlink_to(goal)
    home = tmp_path / "home"
    with pytest.raises(DataError, match=f"1 broken file: {name} .a link to {goal}, which is not"):
        read_folder(root, smallest=16, home=home)
    with pytest.raises(DataError, match=f"1 broken file: {name} .a link to {goal}, which is not"):
        read_clips(root, frames=1, smallest=16, home=home)
    found = read_folder(root, smallest=16, skip_broken=True, home=home)
    assert [skipped.name for skipped in found.skipped] == [name]
    assert "which is not there" in (found.notice() or "")


def test_a_folder_that_may_not_be_read_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(DataError, match="root cannot be read .Permission denied"):
        files_under(root, "images")


def test_names_that_are_not_utf_8_are_read_and_can_be_printed(tmp_path: Path) -> None:
    root, home = tmp_path / LATIN, tmp_path / "home"
    for k in range(2):
        write_photo(root / LATIN / f"{LATIN}{k}.png", seed=k)
    (root / f"{LATIN}.txt").touch()
    for _ in range(2):
        folder = read_folder(root, smallest=16, home=home)
        assert [photo.name for photo in folder.photos] == [
            rf"caf\xe9/caf\xe9{k}.png" for k in range(2)
        ]
        (folder.notice() or "").encode()
    assert len(list(home.glob("photos-*/*/index.json"))) == 1
    (clip,) = read_clips(root, frames=2, smallest=16, home=home).clips
    assert clip.name == r"caf\xe9"
    assert [np.array_equal(a.stored, b.stored) for a, b in
            zip(folder.photos, clip.frames, strict=True)] == [True, True]  # fmt: skip


def test_a_message_about_a_name_that_is_not_utf_8_can_be_printed(tmp_path: Path) -> None:
    for name in (LATIN, f"{LATIN}.png"):
        with pytest.raises(DataError) as told:
            read_folder(tmp_path / name, smallest=16)
        assert r"caf\xe9" in str(told.value)
        str(told.value).encode()


def test_ordinary_names_are_printed_as_they_are() -> None:
    assert printable(Path("photos/Zürich 早.png")) == "photos/Zürich 早.png"
