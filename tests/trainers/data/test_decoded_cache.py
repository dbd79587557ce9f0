import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.trainers.conftest import write_photo
from trainers.base import DataError
from trainers.data import folder as folder_module
from trainers.data.folder import Folder, read_folder

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for k in range(3):
        write_photo(tmp_path / "photos" / f"{k}.png", seed=k)
    return tmp_path / "photos"


def pixels(folder: Folder) -> list[np.ndarray]:
    return [np.array(photo.stored) for photo in folder.photos]


def no_decoding(path: Path) -> None:
    raise AssertionError(f"{path} is decoded again")


def test_files_are_decoded_once(
    photos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pixels(read_folder(photos, smallest=16, home=home))
    monkeypatch.setattr(folder_module, "decode", no_decoding)
    second = pixels(read_folder(photos, smallest=16, home=home))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_smallest_side_needs_no_new_decoding(
    photos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_folder(photos, smallest=16, home=home)
    monkeypatch.setattr(folder_module, "decode", no_decoding)
    with pytest.raises(DataError, match="is smaller than 60x60"):
        read_folder(photos, smallest=60, home=home)


def test_pictures_are_mapped_not_held(photos: Path, home: Path) -> None:
    photo = read_folder(photos, smallest=16, home=home).photos[0]
    assert isinstance(photo.folder_pixels, np.memmap)
    assert np.shares_memory(photo.stored, photo.folder_pixels)


@pytest.mark.parametrize("change", ["content", "time", "added", "removed", "renamed"])
def test_a_changed_folder_is_decoded_anew_and_the_old_shelf_removed(
    photos: Path, home: Path, change: str
) -> None:
    before = read_folder(photos, smallest=16, home=home)
    old = pixels(before)
    if change == "content":
        write_photo(photos / "1.png", seed=9)
    elif change == "time":
        # Same size, other pixels: only the time of change gives it away.
        stat = (photos / "1.png").stat()
        os.utime(photos / "1.png", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    elif change == "added":
        write_photo(photos / "3.png", seed=3)
    elif change == "removed":
        (photos / "1.png").unlink()
    else:
        (photos / "1.png").rename(photos / "one.png")
    after = read_folder(photos, smallest=16, home=home)
    assert sorted(p.name for p in photos.iterdir()) == [p.name for p in after.photos]
    assert after.photos[0].folder_pixels is not before.photos[0].folder_pixels
    assert len(list(home.glob("photos-*/*/index.json"))) == 1
    # Who still has the old one keeps it whole.
    assert all(np.array_equal(a, b) for a, b in zip(old, pixels(before), strict=True))
    if change == "content":
        assert not np.array_equal(after.photos[1].stored, old[1])


BUILDER = """
import sys, time
from pathlib import Path
from trainers.data import folder
decode = folder.decode
def slowly(path):
    with open(sys.argv[3], "a") as log:
        log.write("x")
    time.sleep(0.05)
    return decode(path)
folder.decode = slowly
found = folder.read_folder(Path(sys.argv[1]), smallest=16, home=Path(sys.argv[2]))
print(sum(int(p.stored.astype(int).sum()) for p in found.photos))
"""


def test_two_processes_at_once_decode_once_and_see_the_same(
    photos: Path, home: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", BUILDER, str(photos), str(home), str(tmp_path / "log")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    two = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
        for _ in range(2)
    ]
    sums = [process.communicate(timeout=120)[0] for process in two]
    assert [process.returncode for process in two] == [0, 0]
    expected = sum(int(p.astype(int).sum()) for p in pixels(read_folder(photos, smallest=16)))
    assert [int(total) for total in sums] == [expected] * 2
    assert (tmp_path / "log").read_text() == "xxx"


def test_what_a_killed_builder_left_is_cleared_away(photos: Path, home: Path) -> None:
    read_folder(photos, smallest=16, home=home)
    (place,) = home.glob("photos-*")
    (place / "0123.part").mkdir()
    (place / "0123.part" / "pixels.bin").write_bytes(b"half")
    write_photo(photos / "3.png", seed=3)
    assert len(read_folder(photos, smallest=16, home=home).photos) == 4
    assert not list(home.rglob("*.part"))


def test_the_shelf_of_a_folder_that_is_gone_is_removed_when_another_is_built(
    photos: Path, home: Path, tmp_path: Path
) -> None:
    read_folder(photos, smallest=16, home=home)
    photos.rename(tmp_path / "moved")
    read_folder(tmp_path / "moved", smallest=16, home=home)
    assert len(list(home.glob("photos-*"))) == 1


@pytest.mark.parametrize("damage", ["pixels", "index"])
def test_a_damaged_shelf_is_built_again(photos: Path, home: Path, damage: str) -> None:
    first = pixels(read_folder(photos, smallest=16, home=home))
    (file,) = home.rglob("pixels.bin" if damage == "pixels" else "index.json")
    file.write_bytes(file.read_bytes()[:100])
    again = pixels(read_folder(photos, smallest=16, home=home))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_folder_too_large_for_the_disk_space_is_refused_and_leaves_nothing(
    photos: Path, home: Path
) -> None:
    with pytest.raises(DataError, match="more than 1e-05 GiB of disk.*raise max_gib"):
        read_folder(photos, smallest=16, max_gib=1e-5, home=home)
    assert not list(home.rglob("pixels.bin"))


def test_a_home_that_cannot_be_written_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be kept in .*set XDG_CACHE_HOME"):
        read_folder(photos, smallest=16, home=tmp_path / "file")


def test_the_index_is_plain_json(photos: Path, home: Path) -> None:
    read_folder(photos, smallest=16, home=home)
    (file,) = home.rglob("index.json")
    index = json.loads(file.read_text())
    assert index["pictures"][1] == ["1.png", 48, 64, 48 * 64, False]
    assert (file.parent / "pixels.bin").stat().st_size == index["rows"] * 3
