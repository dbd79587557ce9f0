from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainers.conftest import write_photo
from trainers.base import DataError, Task
from trainers.data.imresize import enlarge
from trainers.data.sources import Sources
from trainers.metrics import psnr_y
from trainers.tasks.super_resolution import SuperResolution, as_input


def nearest(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs.repeat(2, axis=2).repeat(2, axis=3)


def test_it_is_a_task(task: SuperResolution) -> None:
    checked: Task = task
    assert (checked.scale, checked.in_channels, checked.out_channels) == (2, 3, 3)
    assert (checked.metric.name, checked.metric.unit, checked.metric.mode) == (
        "psnr_y", "dB", "max",
    )  # fmt: skip


def test_one_batch_has_the_declared_shapes_and_range(task: SuperResolution) -> None:
    low, high = task.batch(3, seed=0, size=5)
    assert low.shape == (5, 3, task.crop, task.crop)
    assert high.shape == (5, 3, task.crop * task.scale, task.crop * task.scale)
    assert 0 <= low.min() <= low.max() <= 1


def test_validation_inputs_are_multiples_of_four_and_targets_twice_as_large() -> None:
    for example in SuperResolution().examples():
        height, width, _ = example.low.shape
        assert height % 4 == width % 4 == 0
        assert example.high.shape == (2 * height, 2 * width, 3)


def test_the_metric_is_the_mean_over_pictures_with_a_border_of_the_scale(
    task: SuperResolution,
) -> None:
    expected = [
        psnr_y(e.low.repeat(2, 0).repeat(2, 1), e.high, border=2) for e in task.examples()
    ]
    assert task.evaluate(nearest) == pytest.approx(np.mean(expected))


def test_the_baseline_is_bicubic(task: SuperResolution) -> None:
    by_input = {as_input(e.low).tobytes(): enlarge(e.low, 2) for e in task.examples()}
    metric = task.evaluate(lambda inputs: as_input(by_input[inputs.tobytes()]))
    assert task.baseline() == pytest.approx(metric)
    assert task.baseline() > task.evaluate(nearest)


def test_calibration_inputs_are_the_same_at_every_call(task: SuperResolution) -> None:
    one, other = task.calibration(3), task.calibration(3)
    assert [x.shape for x in one] == [(1, 3, 12, 12)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_folder_is_split_by_image_the_same_way_every_time(photos: Path) -> None:
    tasks = [SuperResolution(data=Sources(str(photos)), crop=12, seed=3) for _ in range(2)]
    names = [[example.name for example in task.examples()] for task in tasks]
    assert names[0] == names[1]
    assert len(names[0]) == 1


def test_an_image_in_both_folders_is_kept_out_of_training(photos: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "same.png", seed=0)
    task = SuperResolution(data=Sources(str(photos), str(tmp_path)), crop=12)
    assert task.notices == (
        "1 training images are also validation images and were left out of training",
    )


def test_training_only_on_the_validation_images_is_refused(photos: Path) -> None:
    with pytest.raises(DataError, match="also a validation image"):
        SuperResolution(data=Sources(str(photos), str(photos)), crop=12)


def test_what_was_skipped_in_a_folder_is_told(tmp_path: Path) -> None:
    for k in range(2):
        write_photo(tmp_path / f"{k}.png", seed=k)
    (tmp_path / "notes.txt").touch()
    (notice,) = SuperResolution(data=Sources(str(tmp_path)), crop=12).notices
    assert "notes.txt (not an image)" in notice


def test_images_smaller_than_a_crop_are_unusable(tmp_path: Path) -> None:
    write_photo(tmp_path / "small.png", size=(48, 64))
    with pytest.raises(DataError, match="64x48 is smaller than 64x64"):
        SuperResolution(data=Sources(str(tmp_path)), crop=32)


@pytest.mark.parametrize("scale", [3, 4])
def test_other_scales_work_alike(photos: Path, scale: int) -> None:
    task = SuperResolution(scale=scale, data=Sources(str(photos)), crop=8)
    low, high = task.batch(0, seed=0, size=2)
    assert high.shape[-1] == scale * low.shape[-1]
    assert task.baseline() > 15
