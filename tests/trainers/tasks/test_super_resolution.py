import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from runtime import as_input
from runtime.signature import one_to_one
from tests.trainers.conftest import write_photo
from tests.trainers.data.test_imresize import research_data
from trainers.base import DataError, Task
from trainers.calls import pair, still
from trainers.data.degradations.mixed import Chain
from trainers.data.degradations.noise import GaussianNoise
from trainers.data.degradations.resize import Bicubic
from trainers.data.imresize import enlarge, shrink
from trainers.data.sources import Sources
from trainers.metrics import psnr_y
from trainers.metrics.fidelity import MOST_DB
from trainers.tasks.super_resolution import SuperResolution


def nearest(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs.repeat(2, axis=2).repeat(2, axis=3)


def test_it_is_a_task(task: SuperResolution) -> None:
    checked: Task = task
    assert checked.signature == one_to_one(3, 3, 2)
    assert (checked.metric.name, checked.metric.unit, checked.metric.mode) == (
        "psnr_y", "dB", "max",
    )  # fmt: skip


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
    assert task.scores(still(nearest)) == pytest.approx(expected)


def test_the_baseline_is_bicubic(task: SuperResolution) -> None:
    by_input = {as_input(e.low).tobytes(): enlarge(e.low, 2) for e in task.examples()}
    metric = np.mean(task.scores(still(lambda inputs: as_input(by_input[inputs.tobytes()]))))
    assert task.baseline() == pytest.approx(metric)
    assert task.baseline() > np.mean(task.scores(still(nearest)))


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
    low, high = pair(task.batch(0, seed=0, size=2))
    assert high.shape[-1] == scale * low.shape[-1]
    assert task.baseline() > 15


def test_training_inputs_are_the_papers_reduction_of_their_targets(photos: Path) -> None:
    """Where a crop is a whole picture, its input is the reduction of the whole picture."""
    task = SuperResolution(data=Sources(str(photos), "bundled"), crop=24)
    low, high = pair(task.batch(0, seed=0, size=16))
    for one, target in zip(low, high, strict=True):
        pixels = np.asarray((target * 255).round().permute(1, 2, 0)).astype(np.uint8)
        difference = np.asarray((one * 255).round().permute(1, 2, 0)) - shrink(pixels, 2)
        # Photographs are wider than 48, so left and right the crop knows more than its target.
        assert np.abs(difference[3:-3, 3:-3]).max() <= 1
        assert np.mean(difference[3:-3, 3:-3] != 0) < 0.01


def test_another_degradation_makes_the_inputs_of_training_and_of_judging(photos: Path) -> None:
    noisy = Chain([Bicubic(2), GaussianNoise((20.0, 20.0))])
    clean = SuperResolution(data=Sources(str(photos)), crop=12)
    task = SuperResolution(data=Sources(str(photos)), crop=12, degradation=noisy)
    again = SuperResolution(data=Sources(str(photos)), crop=12, degradation=noisy)
    for example, same, other in zip(
        clean.examples(), task.examples(), again.examples(), strict=True
    ):
        assert np.array_equal(example.high, same.high)
        noise = same.low.astype(float) - example.low
        assert 15 < noise.std() < 22
        assert np.array_equal(same.low, other.low)
    assert task.baseline() < clean.baseline() - 3
    levels = pair(task.batch(0, seed=0, size=4))[0] * 255
    assert torch.equal(levels, levels.round())


def test_a_degradation_of_another_scale_is_refused(photos: Path) -> None:
    with pytest.raises(DataError, match="divides the size by 3, the task's scale is 2"):
        SuperResolution(data=Sources(str(photos)), crop=12, degradation=Bicubic(3))


def test_given_pairs_are_trained_on_and_judged_by(photos: Path, tmp_path: Path) -> None:
    for k in range(2):
        write_photo(tmp_path / "high" / f"{k}.png", seed=10 + k)
        with Image.open(tmp_path / "high" / f"{k}.png") as image:
            low = 255 - shrink(np.asarray(image), 2)
        (tmp_path / "low").mkdir(exist_ok=True)
        Image.fromarray(low).save(tmp_path / "low" / f"{k}x2.png")
    high, low_folder = str(tmp_path / "high"), str(tmp_path / "low")
    task = SuperResolution(data=Sources(str(photos), high, val_low=low_folder), crop=12)
    for example in task.examples():
        assert np.array_equal(255 - example.low, shrink(example.high, 2))
    trained = SuperResolution(data=Sources(high, "bundled", train_low=low_folder), crop=12)
    inputs, targets = pair(trained.batch(0, seed=0, size=8))
    mean = torch.nn.functional.avg_pool2d(targets, 2)
    assert (1 - inputs - mean).abs().mean() < 0.02


@pytest.mark.skipif(
    not (research_data() / "val" / "set5").is_dir(),
    reason="the research data with Set5 is not here; FREEWAY_DATA may name it",
)
@pytest.mark.parametrize(("scale", "psnr"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_the_baseline_on_set5_is_that_of_the_papers(scale: int, psnr: float) -> None:
    """Luma is not rounded here, which reads 0.01 to 0.02 dB more than MATLAB's whole numbers."""
    set5 = str(research_data() / "val" / "set5")
    task = SuperResolution(scale=scale, data=Sources("bundled", set5), crop=8, multiple=1)
    assert task.baseline() == pytest.approx(psnr + 0.015, abs=0.01)


def write_plain(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), colour).save(path)


@pytest.fixture
def with_flat(photos: Path, tmp_path: Path) -> SuperResolution:
    """Judged by one ordinary picture, beside a black and a white one."""
    write_photo(tmp_path / "val" / "real.png", seed=7)
    write_plain(tmp_path / "val" / "black.png", (0, 0, 0))
    write_plain(tmp_path / "val" / "white.png", (255, 255, 255))
    return SuperResolution(data=Sources(str(photos), str(tmp_path / "val")), crop=12)


def test_pictures_without_detail_are_not_judged_by_and_named(with_flat: SuperResolution) -> None:
    assert [example.name for example in with_flat.examples()] == ["real.png"]
    (notice,) = with_flat.notices
    assert "not judged by black.png, white.png: of one colour" in notice
    assert math.isfinite(with_flat.baseline())


def test_a_network_that_is_nonsense_but_on_flat_pictures_does_not_win(
    with_flat: SuperResolution,
) -> None:
    def nonsense(low: NDArray[np.float32]) -> NDArray[np.float32]:
        plain = np.ptp(low) == 0
        return nearest(low) if plain else np.full_like(nearest(low), 0.5)

    def slightly_off(low: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.clip(nearest(low) - np.float32(4 / 255), 0, 1)

    every = (nearest, slightly_off, nonsense)
    judged = {run: np.mean(with_flat.scores(still(run))) for run in every}
    assert sorted(judged, key=lambda run: -judged[run]) == [nearest, slightly_off, nonsense]


def test_nothing_but_pictures_without_detail_is_refused(photos: Path, tmp_path: Path) -> None:
    for k in range(7):
        write_plain(tmp_path / "val" / f"{k}.png", (k, k, k))
    with pytest.raises(DataError, match="no picture to judge by has any detail .*0.png.*2 more"):
        SuperResolution(data=Sources(str(photos), str(tmp_path / "val")), crop=12)


def test_given_pairs_without_detail_are_left_out_too(photos: Path, tmp_path: Path) -> None:
    for name, side in (("high", (48, 64)), ("low", (24, 32))):
        write_photo(tmp_path / name / "real.png", size=side, seed=7)
        Image.new("RGB", side[::-1]).save(tmp_path / name / "black.png")
    sources = Sources(str(photos), str(tmp_path / "high"), val_low=str(tmp_path / "low"))
    task = SuperResolution(data=sources, crop=12)
    assert [example.name for example in task.examples()] == ["real.png"]


def test_an_output_without_any_error_has_a_finite_score(task: SuperResolution) -> None:
    outputs = iter(example.high for example in task.examples())
    scores = task.scores(still(lambda low: as_input(next(outputs))))
    assert scores == (MOST_DB,) * len(task.examples())
