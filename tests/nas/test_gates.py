"""What must not ship does not: wrong files, what fp16 cannot hold, what is slower than fp32."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from finished_studies import receipt
from numpy.typing import NDArray
from onnx import numpy_helper
from toy_search import ScriptedLatency, on_rig, small_candidate, toy_experiment, write_photos

import nas.bundle
import nas.trained
from nas.bundle import export
from nas.candidate import Candidate
from nas.commands.verify import main
from nas.evidence import EXPORTED
from nas.experiment import Experiment
from nas.gates import BOUNDS, LARGEST_FP16, extremes
from nas.inputs import compare_pictures
from nas.stages.quantize import quantize
from nas.stages.screen import screen
from nas.stages.train import train
from runtime import load
from runtime.signature import Port, Signature


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, Experiment]:
    """A trained candidate, one for all tests here."""
    here = toy_experiment(
        tmp_path_factory.mktemp("study"), write_photos(tmp_path_factory.mktemp("photos"))
    )
    return quantize(train(screen(small_candidate(), here), here), here), here


@pytest.fixture
def elsewhere(quantized: Any, tmp_path: Path) -> tuple[Candidate, Experiment]:
    """The same candidate, exported into a folder of the test's own."""
    candidate, here = quantized
    compare_pictures(tmp_path, here.task)
    return candidate, replace(here, folder=tmp_path)


def bundle_of(candidate: Candidate, here: Experiment) -> Path:
    assert candidate.rejected is None
    return here.folder / candidate[EXPORTED].folder


def damaged(
    monkeypatch: pytest.MonkeyPatch, precision: str, name_holds: str, by: float
) -> None:
    """Let the file at this precision be written with other numbers than it was judged by."""
    honest: Callable[..., bytes] = nas.bundle.shipped_file

    def write(candidate: Candidate, here: Any, wanted: str, *size: int, rules: Any) -> bytes:
        made = honest(candidate, here, wanted, *size, rules=rules)
        if wanted != precision:
            return made
        model = onnx.load_model_from_string(made)
        found = [t for t in model.graph.initializer if name_holds in t.name and t.data_type == 1]
        with np.errstate(invalid="ignore"):
            changed = numpy_helper.to_array(found[-1]) * np.float32(by)
        found[-1].CopyFrom(numpy_helper.from_array(changed, found[-1].name))
        return model.SerializeToString()

    monkeypatch.setattr("nas.bundle.shipped_file", write)


def test_an_int8_file_with_a_wrong_scale_is_no_winner(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, here = elsewhere
    damaged(monkeypatch, "int8", "scale", 1.5)
    rejected = export(candidate, here).rejected
    assert rejected is not None and rejected.constraint == "parity"
    assert rejected.reason.startswith("int8.onnx is ") and "from its network on" in rejected.reason
    assert rejected.value is not None and rejected.limit is not None
    assert rejected.value > rejected.limit
    assert not (here.folder / "winners").exists()


def test_a_wrong_fp32_file_beside_int8_is_left_out_and_the_card_says_so(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate, here = elsewhere
    damaged(monkeypatch, "fp32", "w", 1.5)
    bundle = bundle_of(export(candidate, here), here)
    assert {path.name for path in bundle.glob("*.onnx")} == {"int8.onnx"}
    assert "`fp32.onnx` is left out: fp32.onnx is " in (bundle / "README.md").read_text()
    assert "fp32.onnx" in json.loads((bundle / "parity.json").read_text())["left_out"]
    assert load(bundle).precision == "int8"
    assert main([str(bundle)]) == 0
    assert "fp32 on" not in capsys.readouterr().out


def test_a_file_that_is_not_finite_is_no_winner(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, here = elsewhere
    here = on_rig(here, target=replace(here.target, precision="fp32"))
    damaged(monkeypatch, "fp32", "w", np.inf)
    rejected = export(candidate, here).rejected
    assert rejected is not None
    assert rejected.reason == "fp32.onnx is not finite on pictures"


def test_a_network_whose_values_fp16_cannot_hold_does_not_ship_in_fp16(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, here = elsewhere
    honest = nas.trained.float_arrays

    def large(*asked: Any) -> dict[str, NDArray[Any]]:
        arrays = honest(*asked)
        first, second = [name for name in arrays if name.endswith("weight")][:2]
        # What the first layer makes larger the next one makes smaller again.
        factor = np.float32(3e4)
        changed = {first: np.full_like(arrays[first], factor), second: arrays[second] / factor}
        return {**arrays, **changed}

    monkeypatch.setattr("nas.trained.float_arrays", large)
    fp16 = on_rig(here, target=replace(here.target, precision="fp16"))
    rejected = export(candidate, fp16).rejected
    assert rejected is not None and rejected.constraint == "parity"
    assert "over the 65504 that fp16 holds" in rejected.reason
    assert rejected.value is not None and rejected.value > LARGEST_FP16
    fp32 = on_rig(here, target=replace(here.target, precision="fp32"))
    assert export(candidate, fp32).rejected is None


def test_int8_that_is_slower_than_fp32_is_not_what_runs(elsewhere: Any) -> None:
    candidate, here = elsewhere
    fp32, int8 = (receipt(ms, precision=p) for ms, p in ((4.0, "fp32"), (6.0, "int8")))
    slower = on_rig(here, full=ScriptedLatency(fp32, int8))
    bundle = bundle_of(export(candidate, slower), here)
    said = json.loads((bundle / "manifest.json").read_text())["runs"]
    assert said == {
        "precision": "fp32", "why": "int8 takes 6 ms and fp32 4 on onnxruntime",
    }  # fmt: skip
    assert load(bundle).precision == "fp32"
    assert load(bundle, precision="int8").precision == "int8"
    assert "`fp32` is the one to run: int8 takes 6 ms" in (bundle / "README.md").read_text()
    near = receipt(5.95, precision="fp32")
    level = on_rig(here, full=ScriptedLatency(near, int8))
    assert load(bundle_of(export(candidate, level), here)).precision == "int8"


def test_a_bundle_verifies_and_its_card_tells_what_it_is(
    elsewhere: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate, here = elsewhere
    bundle = bundle_of(export(candidate, here), here)
    assert main([str(bundle)]) == 0
    told = capsys.readouterr().out
    for precision in ("fp32", "int8"):
        assert any(
            line.startswith(f"ok     {precision} on openvino") and line.endswith("bit for bit")
            for line in told.splitlines()
        )
    assert sum((bundle / name).stat().st_size for name in ("golden.npz", "golden.json")) < 2e6
    card = (bundle / "README.md").read_text()
    assert card.startswith("---\nlicense: unknown")
    for words in (
        "pipeline_tag: image-to-image", "library_name: freeway-nas", "- super-resolution",
        "| in | `input` | 1 x 3 x 24 x 32 | float32 | [0, 1] | NCHW |",
        "| out | `output` | 1 x 3 x 48 x 64 |", "2x conv 8 k3", "bicubic, no network",
        "| int8 | extremes | ", "photo0.png", "seed 0", "Judged by 1 picture: photo",
    ):  # fmt: skip
        assert words in card, words
    assert str(here.folder) not in card and "/tmp" not in card and "None" not in card


def test_the_lines_of_the_card_run(elsewhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    candidate, here = elsewhere
    bundle = bundle_of(export(candidate, here), here)
    code = (bundle / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(bundle)
    write_photos(bundle, count=1)
    (bundle / "photo0.png").rename(bundle / "photo.png")
    exec(compile(code, "README.md", "exec"), {})
    with Image.open("made.png") as made:
        assert made.size == (192, 160)


def test_extremes_hold_black_white_colours_and_single_lines() -> None:
    ports = (Port("image", 3), Port("motion", 2, kind="map"), Port("level", 4, scale=None))
    signature = Signature(ports, (Port("made", 3),))
    frame = {
        "image": np.full((1, 3, 40, 80), 0.5, np.float32),
        "motion": np.linspace(-3, 5, 2 * 40 * 80, dtype=np.float32).reshape(1, 2, 40, 80),
        "level": np.ones((1, 4), np.float32),
    }
    found = extremes(frame, signature)
    image = found["image"][0]
    assert not image[:, :20, :20].any() and (image[:, :20, 20:40] == 1).all()
    colours = {tuple(pixel) for pixel in image[:, :20, 60:].reshape(3, -1).T.tolist()}
    assert {(1, 0, 0), (0, 1, 0), (0, 0, 1)} <= colours
    assert (image[0, 20:, :20].mean(axis=1) % 1 == 0).all()
    assert (found["motion"].min(), found["motion"].max()) == (-3, 5)
    assert found["level"] is not None and found["level"].shape == (1, 4)
    assert all(BOUNDS[p].mean < BOUNDS[p].largest for p in BOUNDS)
