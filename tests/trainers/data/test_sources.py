from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainers.conftest import write_photo
from trainers.base import DataError
from trainers.data import bundled
from trainers.data.imresize import shrink
from trainers.data.pairs import read_pairs
from trainers.data.photo import Photo
from trainers.data.sources import BUNDLED, Photos, Sources, read_sources


def read(sources: Sources) -> Photos:
    return read_sources(sources, smallest=16, scale=2, seed=0)


def write_pairs(root: Path, *, names: tuple[str, ...] = ("a", "b"), ending: str = "x2") -> None:
    """Targets of 48x64 in `high`, and inputs half as large in `low`."""
    for k, name in enumerate(names):
        write_photo(root / "high" / f"{name}.png", seed=k)
        with Image.open(root / "high" / f"{name}.png") as image:
            low = shrink(np.asarray(image), 2)
        (root / "low").mkdir(exist_ok=True)
        Image.fromarray(low).save(root / "low" / f"{name}{ending}.png")


def test_the_bundled_photographs_come_split() -> None:
    photos = read(Sources())
    assert len(photos.train) == len(bundled.TRAIN)
    assert len(photos.val) == len(bundled.VALIDATION) + bundled.DRAWN


def test_bundled_photographs_can_judge_a_training_on_a_folder(tmp_path: Path) -> None:
    write_photo(tmp_path / "mine.png")
    photos = read(Sources(str(tmp_path), BUNDLED))
    assert [photo.name for photo in photos.train] == ["mine.png"]
    assert [photo.name for photo in photos.val] == [
        photo.name for photo in bundled.validation_photos()
    ]


@pytest.mark.parametrize("ending", ["", "x2", "_x2", "-X2"])
def test_given_inputs_are_matched_with_their_targets_by_name(tmp_path: Path, ending: str) -> None:
    write_pairs(tmp_path, ending=ending)
    high, low = str(tmp_path / "high"), str(tmp_path / "low")
    photos = read(Sources(BUNDLED, high, val_low=low))
    assert [(pair.low.name, pair.high.name) for pair in photos.val_pairs] == [
        (f"a{ending}.png", "a.png"), (f"b{ending}.png", "b.png"),
    ]  # fmt: skip
    assert not photos.train_pairs


def test_rows_and_columns_beyond_a_multiple_of_the_scale_are_cut_off(tmp_path: Path) -> None:
    write_pairs(tmp_path, names=("a",))
    write_photo(tmp_path / "high" / "a.png", size=(49, 65))
    sources = Sources(BUNDLED, str(tmp_path / "high"), val_low=str(tmp_path / "low"))
    (pair,) = read(sources).val_pairs
    assert pair.high.stored.shape == (48, 64, 3)


def pairs(inputs: str, targets: str) -> list[str]:
    """Match names; each picture has a size of its own kind."""
    lows = [Photo(name, np.zeros((8, 8, 3), np.uint8)) for name in inputs.split()]
    highs = [Photo(name, np.zeros((16, 16, 3), np.uint8)) for name in targets.split()]
    found = read_pairs(lows, highs, scale=2, low="LR", high="HR")
    return [f"{pair.low.name}-{pair.high.name}" for pair in found]


@pytest.mark.parametrize(("inputs", "targets", "wanted"), [
    # A name that ends in x2 by itself.
    ("boxx2.png", "boxx2.png", "boxx2.png-boxx2.png"),
    ("a.png ax2.png", "a.png ax2.png", "a.png-a.png ax2.png-ax2.png"),
    ("b_x2.png bx2x2.png", "b_x2.png bx2.png", "b_x2.png-b_x2.png bx2x2.png-bx2.png"),
    # One name at several types of file.
    ("a.jpg a.png", "a.png a.jpg", "a.jpg-a.jpg a.png-a.png"),
    ("a.png", "a.jpg", "a.png-a.jpg"),
])  # fmt: skip
def test_the_same_name_belongs_together_before_a_similar_one(
    inputs: str, targets: str, wanted: str
) -> None:
    assert pairs(inputs, targets) == wanted.split()


@pytest.mark.parametrize(("inputs", "targets", "named"), [
    ("ax2.png a_x2.png", "a.png", "a_x2.png, ax2.png in LR all belong to a.png in HR"),
    ("a.png ax2.png", "a.png", "a.png, ax2.png in LR all belong to a.png in HR"),
    ("a_x2.png a_x2x2.png", "a.png a_x2.png",
     "a_x2.png, a_x2x2.png in LR all belong to a_x2.png in HR"),
    ("a.png a.jpg", "a.png", "a.png, a.jpg in LR all belong to a.png in HR"),
    ("a.png a.jpg", "a.bmp", "a.jpg, a.png in LR all belong to a.bmp in HR"),
    ("ax2.png", "a.png a.jpg", "a.jpg, a.png in HR all belong to ax2.png in LR"),
    ("a.png", "a.png a.jpg", "a.png, a.jpg in HR all belong to a.png in LR"),
])  # fmt: skip
def test_names_that_could_belong_to_two_are_refused(
    inputs: str, targets: str, named: str
) -> None:
    with pytest.raises(DataError, match=f"^{named} by their names: keep one"):
        pairs(inputs, targets)


def test_an_input_without_a_target_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    (tmp_path / "high" / "b.png").unlink()
    with pytest.raises(DataError, match="b: not in both .*low and .*high"):
        read(Sources(BUNDLED, str(tmp_path / "high"), val_low=str(tmp_path / "low")))


def test_a_target_of_another_scale_is_named_with_both_sizes(tmp_path: Path) -> None:
    write_pairs(tmp_path, names=("a",))
    write_photo(tmp_path / "high" / "a.png", size=(96, 128))
    with pytest.raises(DataError, match="is 32x24, its target a.png 128x96: .* 2 times"):
        read(Sources(BUNDLED, str(tmp_path / "high"), val_low=str(tmp_path / "low")))


@pytest.mark.parametrize("sources", [
    Sources(train_low="low"), Sources(val_low="low"), Sources(val=BUNDLED, val_low="low"),
    Sources("high", train_low="low"),
])  # fmt: skip
def test_inputs_without_a_folder_of_targets_are_refused(sources: Sources) -> None:
    with pytest.raises(DataError, match="_low is"):
        read(sources)


def test_a_pair_that_is_also_judged_by_is_not_trained_on(tmp_path: Path) -> None:
    write_pairs(tmp_path, names=("a", "b", "c"))
    (tmp_path / "val").mkdir()
    (tmp_path / "high" / "b.png").rename(tmp_path / "val" / "b.png")
    write_photo(tmp_path / "high" / "b.png", seed=1)
    high, low = str(tmp_path / "high"), str(tmp_path / "low")
    photos = read(Sources(high, str(tmp_path / "val"), train_low=low))
    assert [pair.high.name for pair in photos.train_pairs] == ["a.png", "c.png"]
    assert "1 training images are also validation images" in photos.notices[0]


def test_broken_files_are_skipped_only_where_that_is_wanted(tmp_path: Path) -> None:
    for k in range(2):
        write_photo(tmp_path / f"{k}.png", seed=k)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="broken.png"):
        read(Sources(str(tmp_path)))
    (notice,) = read(Sources(str(tmp_path), skip_broken=True)).notices
    assert "broken.png" in notice


def test_pictures_are_known_again_by_their_pixels_and_told_by_their_names(tmp_path: Path) -> None:
    for k in range(4):
        write_photo(tmp_path / f"{k}.png", seed=k)
    first, again = (read(Sources(str(tmp_path))) for _ in range(2))
    assert first.judged_by == again.judged_by
    assert first.trained_on == again.trained_on
    assert len(first.judged_by) == 1
    names = [name for name, _ in (*first.judged_by, *first.trained_on)]
    assert sorted(names) == [f"{k}.png" for k in range(4)]
    assert len({digest for _, digest in (*first.judged_by, *first.trained_on)}) == 4


def test_one_level_of_one_pixel_makes_another_picture_to_judge_by(tmp_path: Path) -> None:
    write_photo(tmp_path / "val" / "a.png")
    before = read(Sources(val=str(tmp_path / "val"))).judged_by
    with Image.open(tmp_path / "val" / "a.png") as image:
        pixels = np.array(image)
    pixels[7, 5, 1] ^= 1
    Image.fromarray(pixels).save(tmp_path / "val" / "a.png")
    ((name, digest),) = read(Sources(val=str(tmp_path / "val"))).judged_by
    assert name == "a.png"
    assert (name, digest) not in before


def test_another_input_makes_another_pair_to_judge_by(tmp_path: Path) -> None:
    write_pairs(tmp_path, names=("a",))
    sources = Sources(BUNDLED, str(tmp_path / "high"), val_low=str(tmp_path / "low"))
    before = read(sources).judged_by
    write_photo(tmp_path / "low" / "ax2.png", size=(24, 32), seed=5)
    after = read(sources).judged_by
    assert [name for name, _ in before] == [name for name, _ in after] == ["a.png"]
    assert before != after


def test_sixteen_bits_beside_it_do_not_make_another_picture_of_one_of_eight(
    tmp_path: Path
) -> None:
    write_photo(tmp_path / "val" / "a.png")
    before = read(Sources(val=str(tmp_path / "val"))).judged_by
    deep = np.random.default_rng(0).integers(0, 65536, (32, 40)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "val" / "b.png")
    assert read(Sources(val=str(tmp_path / "val"))).judged_by[0] == before[0]
