"""A video comes out larger, and else as it was."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_bundles import enlarger, write_bundle
from made_videos import HEIGHT, TIMES, WIDTH, seen, write_video

from nas.play.base import Played, Unplayable
from nas.play.places import places
from nas.play.play import How, late, play
from runtime import load
from runtime.planes import CHANNELS
from trainers.data.imresize import enlarge

pytest.importorskip("av", reason="videos need PyAV")
SIZE = (HEIGHT, WIDTH)


def bicubic(folder: Path, planes: str = "rgb", *, brighter: float = 0.0) -> Path:
    """A bundle of a network that enlarges bicubically, and brightens."""
    size = (HEIGHT // 2, WIDTH // 2) if planes == "ycbcr420" else SIZE
    said = {"planes": planes, "margin": 2, "multiple": 1}
    graph = enlarger(CHANNELS[planes], brighter=brighter)
    return write_bundle(folder, graph, size=size, precisions=("fp32",), said=said)


def run(bundle: Path, what: Path, to: Path | None, how: How = How()) -> Played:  # noqa: B008
    told: list[tuple[int, int | None]] = []
    job = places(str(what), None if to is None else str(to), force=False)
    played = play(load(bundle), job, how=how, told=lambda *said: told.append(said))
    assert [done for done, _ in told] == list(range(1, played.frames + 1))
    return played


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_frames_are_twice_as_large_at_the_same_times_with_the_same_sound(
    suffix: str, tmp_path: Path
) -> None:
    if suffix == ".webm":
        write_video(tmp_path / "in.mkv", sound=False)
        source = tmp_path / "in.mkv"
    else:
        source = tmp_path / f"in{suffix}"
        write_video(source)
    played = run(write_bundle(tmp_path / "b"), source, tmp_path / f"out{suffix}")
    before, after = seen(source), seen(tmp_path / f"out{suffix}")
    assert played.frames == len(TIMES)
    assert after["times"] == before["times"] and len(set(np.diff(after["times"]))) > 1
    assert after["pictures"][0].shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert after["sound"] == before["sound"] and bool(before["sound"]) == (suffix != ".webm")
    assert after["tags"] == before["tags"] == (1, 1, 1)
    assert after["pixels"] == "yuv420p"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(
        [source.name, f"out{suffix}"]
    )


@pytest.mark.parametrize("planes", CHANNELS)
def test_every_kind_of_network_keeps_the_colours(planes: str, tmp_path: Path) -> None:
    source, to = tmp_path / "in.mkv", tmp_path / "out.mkv"
    write_video(source)
    run(bicubic(tmp_path / "b", planes), source, to)
    before, after = seen(source), seen(to)
    large = np.stack([enlarge(picture, 2) for picture in before["pictures"]]).astype(float)
    # The network adds zeros around the picture, which darkens its edge.
    difference = (np.stack(after["pictures"]) - large)[:, 8:-8, 8:-8]
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.5 and np.abs(difference).mean() < 4


def test_ten_bits_stay_ten(tmp_path: Path) -> None:
    write_video(tmp_path / "in.mkv", pixels="yuv420p10le")
    run(bicubic(tmp_path / "b"), tmp_path / "in.mkv", tmp_path / "out.mkv")
    after = seen(tmp_path / "out.mkv")
    assert after["pixels"] == "yuv420p10le" and len(after["times"]) == len(TIMES)


def test_a_video_that_is_turned_when_it_is_shown_still_is(tmp_path: Path) -> None:
    write_video(tmp_path / "in.mp4", rotated=90)
    run(bicubic(tmp_path / "b"), tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert seen(tmp_path / "in.mp4")["rotation"] == seen(tmp_path / "out.mp4")["rotation"] != 0


@pytest.mark.parametrize("planes", CHANNELS)
def test_a_comparison_has_the_network_on_the_right_only(planes: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    write_video(source)
    run(bicubic(tmp_path / "b", planes, brighter=0.2), source, tmp_path / "o.mkv", How(True))
    plain = enlarge(seen(source)["pictures"][3], 2).astype(float)
    brighter = (seen(tmp_path / "o.mkv")["pictures"][3] - plain).mean(axis=(0, 2))
    assert np.abs(brighter[: WIDTH - 8]).max() < 4
    assert brighter[WIDTH + 8 : -8].min() > 30
    assert brighter[WIDTH - 1 : WIDTH + 1].min() > 80


def test_played_in_real_time_it_takes_as_long_as_the_video_and_writes_nothing(
    tmp_path: Path,
) -> None:
    source = tmp_path / "in.mkv"
    write_video(source, times=range(6))
    bundle, began_s = write_bundle(tmp_path / "b"), time.perf_counter()
    played = run(bundle, source, None, How(realtime=True))
    assert played.dropped is not None and played.frames == 6
    assert time.perf_counter() - began_s >= 5 / 25
    assert not list(tmp_path.glob("out*"))


def test_frames_are_late_when_their_successor_came_before_anybody_could_begin() -> None:
    at = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert late(at, [0.9] * 5, 1.0) == 0
    assert late(at, [2.5, 0.1, 0.1, 0.1, 0.1], 1.0) == 1
    assert late(at, [2.0] * 5, 1.0) == 2
    assert late([], [], 1.0) == 0


def test_what_is_no_video_or_cannot_be_written_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    bundle = write_bundle(tmp_path / "b")
    (tmp_path / "bad.mp4").write_bytes(b"no video at all")
    with pytest.raises(Unplayable, match="bad.mp4 is no video that can be read"):
        run(bundle, tmp_path / "bad.mp4", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        audio = container.add_stream("aac", rate=48000)
        heard = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        heard.sample_rate = 48000
        container.mux(audio.encode(heard))
        container.mux(audio.encode(None))
    with pytest.raises(Unplayable, match="sound.mkv has no video stream"):
        run(bundle, tmp_path / "sound.mkv", tmp_path / "out.mp4")
    write_video(tmp_path / "in.mp4")
    with pytest.raises(Unplayable, match=r"out.gif is no name of a video: let it end in .mp4"):
        run(bundle, tmp_path / "in.mp4", tmp_path / "out.gif")
    with pytest.raises(Unplayable, match=r"webm file with aac .* let OUT end in .mkv"):
        run(bundle, tmp_path / "in.mp4", tmp_path / "out.webm")
    monkeypatch.setattr("nas.play.video._CAMERA", tmp_path / "none")
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(Unplayable, match="there is no webcam here"):
        play(load(bundle), places("webcam", None, force=False), how=How(), told=lambda *_: None)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(Unplayable, match=r"pip install 'freeway-nas\[video\]'"):
        run(bundle, tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert not list(tmp_path.glob("*out*"))


def test_a_damaged_end_leaves_no_half_written_video(tmp_path: Path) -> None:
    write_video(tmp_path / "in.mkv")
    content = bytearray((tmp_path / "in.mkv").read_bytes())
    half = len(content) // 3
    content[half:] = bytes(len(content) - half)
    (tmp_path / "in.mkv").write_bytes(bytes(content))
    bundle = write_bundle(tmp_path / "b")
    try:
        played = run(bundle, tmp_path / "in.mkv", tmp_path / "out.mkv")
    except Unplayable:
        assert not list(tmp_path.glob("*out*"))
    else:
        assert len(seen(tmp_path / "out.mkv")["times"]) == played.frames < len(TIMES)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("what", ["webcam", "in.mkv"])
def test_ctrl_c_ends_a_cameras_file_and_leaves_none_of_a_video(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "in.mkv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nas.play.video._place", lambda name: ("in.mkv", None, "the webcam"))

    def told(done: int, total: int | None) -> None:
        if done == 4:
            raise KeyboardInterrupt

    network = load(bicubic(tmp_path / "b"))
    job = places(what, "out.mkv", force=False)
    if what == "webcam":
        played = play(network, job, how=How(), told=told)
        assert played.frames == len(seen(tmp_path / "out.mkv")["times"]) == 4
    else:
        with pytest.raises(KeyboardInterrupt):
            play(network, job, how=How(), told=told)
        assert not list(tmp_path.glob("*out*"))
