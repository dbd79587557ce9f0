import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.base import DataError
from trainers.data.clips import Clip, ClipCrops, read_clips
from trainers.data.degradations.blur import GaussianBlur
from trainers.data.degradations.mixed import Chain
from trainers.data.degradations.noise import GaussianNoise
from trainers.data.degradations.resize import Area
from trainers.data.photo import Photo


def write_frames(folder: Path, count: int, *, size: tuple[int, int] = (24, 32)) -> None:
    """Frames named 1, 2, ... whose grey level is ten times their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(1, count + 1):
        Image.fromarray(np.full((*size, 3), 10 * k, np.uint8)).save(folder / f"frame{k}.png")


def write_video(path: Path, frames: int) -> None:
    """A lossless video whose frames are grey, ten levels brighter each."""
    av = pytest.importorskip("av", reason="reading videos needs PyAV")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for k in range(frames):
            levels = np.full((24, 32, 3), 10 * (k + 1), np.uint8)
            frame = av.VideoFrame.from_ndarray(levels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def levels(clip: Clip) -> list[int]:
    return [int(frame.stored[0, 0, 0]) for frame in clip.frames]


def test_each_folder_of_frames_is_a_clip_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", 12)
    write_frames(tmp_path / "b" / "c", 3)
    found = read_clips(tmp_path, frames=2, smallest=16)
    assert [clip.name for clip in found.clips] == ["a", "b/c"]
    assert levels(found.clips[0]) == [10 * k for k in range(1, 13)]
    assert found.notice() is None


def test_a_video_is_a_clip_too(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", 6)
    write_frames(tmp_path / "a", 3)
    clips = {clip.name: clip for clip in read_clips(tmp_path, frames=2, smallest=16).clips}
    assert levels(clips["film.mkv"]) == [10, 20, 30, 40, 50, 60]
    assert clips["film.mkv"].frames[0].stored.shape == (24, 32, 3)
    assert len(clips) == 2


def test_no_more_frames_of_a_video_are_decoded_than_asked_for(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mkv", 6)
    (clip,) = read_clips(tmp_path, frames=2, smallest=16, most_frames=4).clips
    assert levels(clip) == [10, 20, 30, 40]


def test_without_pyav_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"pip install 'freeway-nas\[video\]'"):
        read_clips(tmp_path, frames=2, smallest=16)


def test_a_broken_clip_is_refused_or_left_out_whole(tmp_path: Path) -> None:
    write_frames(tmp_path / "good", 3)
    write_frames(tmp_path / "bad", 4)
    (tmp_path / "bad" / "frame2.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match="1 broken file: bad/frame2.png"):
        read_clips(tmp_path, frames=2, smallest=16)
    found = read_clips(tmp_path, frames=2, smallest=16, skip_broken=True)
    assert [clip.name for clip in found.clips] == ["good"]
    assert "bad/frame2.png" in (found.notice() or "")


def test_a_broken_video_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="reading videos needs PyAV")
    (tmp_path / "film.mp4").write_bytes(b"not a film")
    with pytest.raises(DataError, match="film.mp4 .cannot be decoded"):
        read_clips(tmp_path, frames=2, smallest=16)


def test_clips_that_are_too_short_too_small_or_of_two_sizes_are_told(tmp_path: Path) -> None:
    write_frames(tmp_path / "good", 5)
    write_frames(tmp_path / "short", 2)
    write_frames(tmp_path / "small", 5, size=(10, 40))
    write_frames(tmp_path / "mixed", 5)
    write_frames(tmp_path / "mixed", 2, size=(30, 30))
    notice = read_clips(tmp_path, frames=3, smallest=16).notice()
    assert notice is not None
    assert "short (2 frames, 3 are needed)" in notice
    assert "small (40x10 is smaller than 16x16)" in notice
    assert "mixed (frames of 32x24 and of 30x30: all must be alike)" in notice


def test_nothing_usable_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_frames(tmp_path / "short", 2)
    with pytest.raises(DataError, match="no usable clip.*3 are needed"):
        read_clips(tmp_path, frames=3, smallest=16)


def drifting_clip(frames: int = 5) -> Clip:
    """Noise that is the same in all frames, but for a level that tells the frame."""
    still = np.random.default_rng(0).integers(0, 100, (30, 40, 3)).astype(np.uint8)
    photos = [Photo(str(k), still + np.uint8(20 * k)) for k in range(frames)]
    return Clip("drifting", tuple(photos))


def test_a_stretch_is_cut_at_one_place_through_all_its_frames() -> None:
    crops = ClipCrops([drifting_clip()], Area(2), crop=8, frames=3)
    low, high = crops.batch(0, seed=0, size=12)
    assert low.shape == (12, 3, 3, 8, 8)
    assert high.shape == (12, 3, 3, 16, 16)
    steps = (high[:, 1:] - high[:, :-1]) * 255
    # Forwards or backwards, but nothing else changes: same place, same turn.
    assert set(steps.round().unique().tolist()) == {-20.0, 20.0}
    torch.testing.assert_close(low, torch.nn.functional.avg_pool3d(high, (1, 2, 2)))


def test_frames_may_lie_further_apart() -> None:
    _, high = ClipCrops([drifting_clip()], Area(1), crop=8, frames=3, every=2).batch(
        0, seed=0, size=4
    )
    steps = ((high[:, 1:] - high[:, :-1]) * 255).round().abs()
    assert steps.unique().tolist() == [40.0]


def test_every_moment_turns_up_and_none_crosses_into_the_next_clip() -> None:
    dark = Clip("dark", tuple(Photo("", np.full((16, 16, 3), k, np.uint8)) for k in range(4)))
    bright = Clip("b", tuple(Photo("", np.full((16, 16, 3), 100 + k, np.uint8)) for k in range(3)))
    _, high = ClipCrops([dark, bright], Area(1), crop=16, frames=2).batch(0, seed=0, size=200)
    pairs = {tuple(sorted(p)) for p in (high[:, :, 0, 0, 0] * 255).round().int().tolist()}
    assert pairs == {(0, 1), (1, 2), (2, 3), (100, 101), (101, 102)}


def test_a_clip_is_blurred_alike_in_all_frames_and_noisy_in_each_anew() -> None:
    still = drifting_clip().frames[:1] * 3
    blurred, _ = ClipCrops([Clip("", still)], GaussianBlur((0.5, 3.0)), crop=16, frames=3).batch(
        0, seed=0, size=4
    )
    assert torch.equal(blurred[:, 0], blurred[:, 1])
    noisy = Chain([GaussianBlur((0.5, 3.0)), GaussianNoise((9.0, 9.0))])
    low, _ = ClipCrops([Clip("", still)], noisy, crop=16, frames=3).batch(0, seed=0, size=4)
    assert (low[:, 0] - low[:, 1]).std().item() * 255 == pytest.approx(9 * 2**0.5, rel=0.1)


def test_the_same_step_and_seed_give_the_same_stretches() -> None:
    crops = ClipCrops([drifting_clip()], GaussianNoise(), crop=8, frames=2)
    assert torch.equal(crops.batch(7, seed=1, size=3)[0], crops.batch(7, seed=1, size=3)[0])
    assert not torch.equal(crops.batch(7, seed=1, size=3)[0], crops.batch(8, seed=1, size=3)[0])


def test_a_clip_shorter_than_a_stretch_is_refused() -> None:
    with pytest.raises(ValueError, match="drifting has 5 frames, 7 needed"):
        ClipCrops([drifting_clip()], Area(1), crop=8, frames=4, every=2)
