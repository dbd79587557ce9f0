"""Networks that come with the package: whole, told of, better than bicubic, and found by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from nas.commands import main
from nas.play.places import Pictures, Video
from nas.play.winner import bundle_of
from nas.zoo.entries import Entry, entries, folder_of, names
from nas.zoo.fitting import among, fitting
from runtime import load
from runtime.bundle import Loaded
from runtime.manifest import read_manifest

LARGEST = 200_000
SIZE = (36, 64)


def psnr_y(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    weights = np.array([65.481, 128.553, 24.966]) / 255
    error = (one.astype(float) - other.astype(float)) @ weights
    return float(10 * np.log10(255**2 / np.mean(error[4:-4, 4:-4] ** 2)))


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["nas", *words])
    return main()


@pytest.mark.parametrize("name", names())
def test_a_network_of_the_zoo_is_whole_small_and_says_what_it_was_trained_on(name: str) -> None:
    folder = folder_of(name)
    assert folder is not None
    manifest = read_manifest(folder)
    assert set(manifest.hashes) >= {"fp32.onnx", "int8.onnx", "architecture.json", "about.json"}
    assert sum(len(manifest.read(file)) for file in manifest.hashes) < LARGEST
    entry = next(entry for entry in entries() if entry.name == name)
    assert "steps" in entry.training and entry.parameters > 1000
    assert all(one["int8"] > one["bicubic"] + 1 for one in entry.quality.values())


@pytest.mark.parametrize("name", names())
def test_its_integers_are_added_up_rightly_by_every_processor(name: str) -> None:
    folder = folder_of(name)
    assert folder is not None
    graph = onnx.load(folder / "int8.onnx").graph
    weights = [onnx.numpy_helper.to_array(t) for t in graph.initializer]
    kernels = [w for w in weights if w.dtype == np.int8 and w.ndim == 4]
    assert kernels and max(int(np.abs(w.astype(int)).max()) for w in kernels) <= 64


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("name", names())
def test_it_enlarges_a_photograph_better_than_bicubic(name: str, precision: str) -> None:
    true = np.ascontiguousarray(data.chelsea()[:288, :448])
    low = np.asarray(Image.fromarray(true).resize((224, 144), Image.Resampling.BICUBIC))
    plain = np.asarray(Image.fromarray(low).resize((448, 288), Image.Resampling.BICUBIC))
    made = load(bundle_of(name), precision=precision)(low)
    assert psnr_y(made, true) > psnr_y(plain, true) + 0.4


def test_the_best_is_the_first_and_what_is_faster_is_worse() -> None:
    gains = [entry.gain_db() for entry in entries()]
    assert len(gains) >= 3 and gains == sorted(gains, reverse=True)


def test_a_name_that_is_none_is_no_folder_of_the_zoo() -> None:
    assert folder_of("../networks") is None
    assert folder_of("") is None


class Loads:
    """Loads networks, and counts them."""

    def __init__(self) -> None:
        self.asked: list[Path] = []

    def __call__(self, folder: Path) -> Loaded:
        self.asked.append(folder)
        return load(folder)


def test_a_picture_gets_the_best_one() -> None:
    loads = Loads()
    network, why = fitting(Pictures(()), loads)
    assert loads.asked == [entries()[0].folder] == [network.folder]
    assert why.startswith(f"{entries()[0].name}, the best of the zoo (x2, +")


def test_a_video_gets_the_best_one_that_keeps_up_and_else_the_fastest() -> None:
    loads = Loads()
    network, why = among(entries(), SIZE, 1e9, loads)
    assert len(loads.asked) == 1 and network.folder == entries()[0].folder
    assert "64x36" in why
    loads = Loads()
    network, why = among(entries(), SIZE, 1e-9, loads)
    assert len(loads.asked) == len(entries()) and "none keeps up" in why


def test_the_first_that_keeps_up_ends_the_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    took = iter([50.0, 20.0, 5.0])
    monkeypatch.setattr("nas.zoo.fitting._took_ms", lambda network, size: next(took))
    network, why = among(entries()[:3], SIZE, 40.0, load)
    assert network.folder == entries()[1].folder
    assert "the best of the zoo that keeps up" in why and "20.0 ms" in why


def test_nas_run_without_a_network_takes_one_of_the_zoo_and_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, made = tmp_path / "photo.png", tmp_path / "large.png"
    Image.fromarray(data.astronaut()[:48, :64]).save(photo)
    assert run(monkeypatch, "run", str(photo), str(made)) == 0
    with Image.open(made) as large:
        assert large.size == (128, 96)
    assert f"network: {entries()[0].name}" in capsys.readouterr().err


def test_nas_run_takes_a_name_of_the_zoo_in_the_place_of_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, made = tmp_path / "photo.png", tmp_path / "large.png"
    Image.fromarray(data.astronaut()[:48, :64]).save(photo)
    assert run(monkeypatch, "run", entries()[-1].name, str(photo), str(made)) == 0
    assert made.exists()
    assert run(monkeypatch, "run", "x2-god", str(photo), str(made)) == 2
    assert "x2-god is no bundle" in capsys.readouterr().err


def test_nas_zoo_lists_them_with_the_receipts_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = ("zoo", "--engine", "openvino", "--size", "36x64")
    assert run(monkeypatch, *asked) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in names())
    assert "not timed on this machine yet: nas zoo --bench" in said
    assert run(monkeypatch, *asked, "--bench") == 0
    timed = capsys.readouterr().out
    assert "not timed" not in timed
    assert run(monkeypatch, *asked) == 0
    assert capsys.readouterr().out == timed


def test_a_network_of_the_zoo_can_be_timed_shown_and_trained_on_by_name() -> None:
    from nas.networks import resolve
    from nas.one_network import architecture_named

    for entry in entries():
        assert resolve(entry.name).name == entry.name
        said = json.loads((entry.folder / "architecture.json").read_text())
        assert architecture_named(entry.name, scale=None).to_json() == said


def test_an_entry_ranks_by_what_it_adds_to_bicubic(tmp_path: Path) -> None:
    quality = {"a": {"int8": 31.0, "bicubic": 30.0}, "b": {"int8": 33.0, "bicubic": 30.0}}
    assert Entry("n", tmp_path, "", 2, 1, "", quality).gain_db() == 2.0


def test_a_video_that_is_none_is_refused_before_a_network_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need PyAV")
    from nas.play.base import Unplayable

    (tmp_path / "clip.mp4").write_bytes(b"nothing")
    loads = Loads()
    with pytest.raises(Unplayable):
        fitting(Video(str(tmp_path / "clip.mp4"), None), loads)
    assert not loads.asked
