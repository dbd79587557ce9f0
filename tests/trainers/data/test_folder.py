from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainers.conftest import write_photo
from trainers.base import DataError
from trainers.data.folder import read_folder, split
from trainers.data.photo import Photo


def test_pictures_of_subfolders_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.jpg", "a/c.webp", "d.bmp", "e.tif", "F.PNG"):
        write_photo(tmp_path / name)
    folder = read_folder(tmp_path, smallest=16)
    assert [p.name for p in folder.photos] == ["F.PNG", "a/c.webp", "a/z.jpg", "b.png", "d.bmp",
                                               "e.tif"]  # fmt: skip
    assert folder.notice() is None


def write_bad_files(folder: Path) -> None:
    write_photo(folder / "good.png")
    write_photo(folder / "cut.png")
    whole = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not a picture")
    (folder / "text.png").write_text("not a picture either")
    write_photo(folder / "tiny.png", size=(12, 15))


def test_broken_files_are_refused_by_name_in_one_line(tmp_path: Path) -> None:
    write_bad_files(tmp_path)
    for _ in range(2):
        with pytest.raises(DataError, match="2 broken files: cut.png .*text.png .*skip") as told:
            read_folder(tmp_path, smallest=16)
        assert "\n" not in str(told.value)
        assert "notes" not in str(told.value)


def test_every_unusable_file_is_named_with_its_reason(tmp_path: Path) -> None:
    write_bad_files(tmp_path)
    folder = read_folder(tmp_path, smallest=16, skip_broken=True)
    reasons = {s.name: s.reason for s in folder.skipped}
    assert [p.name for p in folder.photos] == ["good.png"]
    assert reasons["notes.txt"] == "not an image"
    assert reasons["text.png"] == "no image of a known kind inside"
    assert reasons["tiny.png"] == "15x12 is smaller than 16x16"
    assert reasons["cut.png"].startswith("cannot be decoded")
    notice = folder.notice()
    assert notice is not None
    assert "skipped 4 of 5 files" in notice
    assert "\n" not in notice
    assert all(name in notice for name in reasons)


def test_one_16_bit_picture_makes_all_be_kept_with_16(tmp_path: Path) -> None:
    write_photo(tmp_path / "eight.png")
    deep = np.random.default_rng(0).integers(0, 65536, (32, 40)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    first, second = read_folder(tmp_path, smallest=16).photos
    assert first.stored.dtype == second.stored.dtype == np.uint16
    assert np.array_equal(first.stored[..., 0], deep)
    with Image.open(tmp_path / "eight.png") as image:
        assert np.array_equal(second.pixels, np.asarray(image))
    assert np.abs(first.pixels[..., 0] - deep / 257).max() <= 0.5


def test_a_long_list_of_skipped_files_is_cut_short(tmp_path: Path) -> None:
    write_photo(tmp_path / "good.png")
    for k in range(9):
        (tmp_path / f"{k}.txt").touch()
    notice = read_folder(tmp_path, smallest=16).notice()
    assert notice is not None
    assert "and 4 more" in notice


def test_grey_pictures_become_rgb_and_are_counted(tmp_path: Path) -> None:
    write_photo(tmp_path / "colour.png")
    Image.fromarray(np.full((32, 40), 90, np.uint8)).save(tmp_path / "grey.png")
    folder = read_folder(tmp_path, smallest=16)
    assert folder.grey == 1
    assert folder.photos[1].pixels.shape == (32, 40, 3)
    assert "1 grey" in (folder.notice() or "")


def test_a_palette_with_transparency_is_read_as_rgb(tmp_path: Path) -> None:
    paletted = Image.fromarray(np.zeros((32, 32, 3), np.uint8)).convert("P")
    paletted.save(tmp_path / "p.png", transparency=b"\x00\x80")
    assert read_folder(tmp_path, smallest=16).photos[0].pixels.shape == (32, 32, 3)


def test_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    write_photo(tmp_path / "good.png")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    write_photo(tmp_path / ".cache" / "thumbnail.png")
    folder = read_folder(tmp_path, smallest=16)
    assert len(folder.photos) == 1
    assert not folder.skipped


def test_a_missing_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder .*nowhere"):
        read_folder(tmp_path / "nowhere", smallest=16)


def test_an_empty_folder_says_what_belongs_into_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is empty: put images .*\.png"):
        read_folder(tmp_path, smallest=16)


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    write_photo(tmp_path / "photo.png")
    with pytest.raises(DataError, match="is a file"):
        read_folder(tmp_path / "photo.png", smallest=16)


def test_a_folder_with_nothing_usable_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"no usable image.*notes\.txt \(not an image\)"):
        read_folder(tmp_path, smallest=16)


def numbered(count: int) -> list[Photo]:
    return [Photo(str(k), np.zeros((1, 1, 3), np.uint8)) for k in range(count)]


def test_the_split_is_by_image_complete_and_fixed_by_its_seed() -> None:
    train, held_out = split(numbered(30), seed=1)
    assert len(held_out) == 3
    assert sorted(int(p.name) for p in train + held_out) == list(range(30))
    again = split(numbered(30), seed=1)[1]
    assert [p.name for p in again] == [p.name for p in held_out]
    assert [p.name for p in split(numbered(30), seed=2)[1]] != [p.name for p in held_out]


def test_a_large_folder_gives_no_more_than_ten_to_validation() -> None:
    assert len(split(numbered(800), seed=0)[1]) == 10


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(DataError, match="name a validation folder"):
        split(numbered(1), seed=0)
