"""A bundle runs with numpy and one engine; what is no bundle is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_bundles import HEIGHT, WIDTH, picture, write_bundle
from numpy.typing import NDArray

import runtime
from runtime import BadBundle, as_input, as_pixels, load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """As a search leaves it, with drawn weights."""
    return write_bundle(tmp_path / "bundle", said={})


def test_the_fastest_precision_runs_and_enlarges_a_picture(bundle: Path) -> None:
    upscale = load(bundle)
    assert (upscale.precision, upscale.engine, upscale.channels) == ("int8", "openvino", 3)
    assert upscale.receipt["median_ms"] == 1.0
    large = upscale(picture())
    assert large.shape == (2 * HEIGHT, 2 * WIDTH, 3) and large.dtype == np.uint8
    assert len(np.unique(large)) > 50


def test_pictures_and_numbers_in_and_out_are_the_same_network(bundle: Path) -> None:
    upscale = load(bundle, precision="fp32")
    numbers = upscale.run(as_input(picture()))
    assert np.array_equal(as_pixels(numbers), upscale(picture()))


def test_both_engines_compute_the_same_picture_in_fp32(bundle: Path) -> None:
    one, other = (
        load(bundle, precision="fp32", engine=engine) for engine in ("openvino", "onnxruntime")
    )
    difference = one(picture()).astype(int) - other(picture()).astype(int)
    assert np.abs(difference).max() <= 1


def test_openvino_takes_arrays_of_other_sizes_and_onnxruntime_says_that_it_does_not(
    bundle: Path,
) -> None:
    other = as_input(picture(20, 44))
    assert load(bundle).run(other).shape == (1, 3, 40, 88)
    with pytest.raises(ValueError, match="the file is for pictures of 24x32, this one is 20x44"):
        load(bundle, engine="onnxruntime", precision="fp32").run(other)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (picture().astype(np.float32), "the picture is float32: give uint8 or uint16"),
        (picture()[:, :, :1], "the picture is 24x32x1: this network takes"),
        (picture()[:, :, 0], "this network takes \\(h, w, 3\\)"),
    ],
)
def test_a_picture_that_does_not_fit_is_refused(
    bundle: Path, given: NDArray[np.uint8], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        load(bundle)(given)


def test_what_is_no_bundle_or_was_changed_is_refused_in_one_line(bundle: Path) -> None:
    with pytest.raises(BadBundle, match="has no manifest.json: give the folder of a winner"):
        load(bundle.parent)
    with pytest.raises(ValueError, match="precision is 'fp16': .* ships int8, fp32"):
        load(bundle, precision="fp16")
    with pytest.raises(ValueError, match="engine is 'tvm': use openvino or onnxruntime"):
        load(bundle, engine="tvm")(picture())
    changed = bundle.parent / "changed"
    for name in ("int8.onnx", "latency.json", "architecture.json"):
        shutil.copytree(bundle, changed)
        content = bytearray((changed / name).read_bytes())
        content[len(content) // 2] ^= 1
        (changed / name).write_bytes(bytes(content))
        with pytest.raises(BadBundle, match=f"{name} is not what was exported"):
            load(changed)
        shutil.rmtree(changed)
    (bundle / "manifest.json").write_text("{")
    with pytest.raises(BadBundle, match="cannot be read"):
        load(bundle)


def test_it_needs_neither_torch_nor_any_other_package_of_this_project(bundle: Path) -> None:
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from runtime import load\n"
        f"load({str(bundle)!r})(np.zeros(({HEIGHT}, {WIDTH}, 3), np.uint8))\n"
        "ours = {'nas', 'search_spaces', 'latency_models', 'trainers', 'conf'}\n"
        "heavy = {'torch', 'optuna', 'hydra', 'onnx', 'onnxruntime', 'PIL', 'scipy'}\n"
        "print(sorted((ours | heavy) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_no_other_engine_takes_the_place_of_the_one_it_was_timed_on(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.bundle.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="timed on openvino, which is not installed"):
        load(bundle)
    assert load(bundle, engine="onnxruntime").engine == "onnxruntime"


def test_values_that_are_not_finite_are_never_a_picture() -> None:
    output = np.zeros((1, 3, 2, 2), np.float32)
    output[0, 0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        as_pixels(output)


def test_pictures_survive_the_way_to_numbers_and_back() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(8, 32, 1)
    assert np.array_equal(as_pixels(as_input(every)), every)
    assert runtime.__all__ == sorted(runtime.__all__)
