"""A bundle of any size runs, verifies and tells its receipts as the one that it is a copy of."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_bundles import HEIGHT, WIDTH, told_again, with_golden, write_bundle

import nas
from nas.settings import SettingsError
from nas.verify import verify
from runtime import as_input, load
from search_spaces.any_size import is_any_size
from search_spaces.references import reference

SIZES = ((50, 70), (16, 90), (128, 96))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return with_golden(write_bundle(tmp_path / "b"))


def noise(height: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_it_is_the_same_network_at_every_size(bundle: Path, tmp_path: Path) -> None:
    copy = nas.export(bundle, tmp_path / "free", sizes="any")
    assert all(is_any_size(path.read_bytes()) for path in copy.glob("*.onnx"))
    for height, width in SIZES:
        frame = noise(height, width)
        fixed = load(bundle)(frame)
        assert np.array_equal(load(copy)(frame), fixed)
        alone = load(copy, engine="onnxruntime", precision="fp32")
        assert np.abs(alone(frame).astype(int) - load(bundle, precision="fp32")(frame)).max() <= 1
        # Not in tiles of another size, as an array must not be.
        assert alone.run(as_input(frame)).shape == (1, 3, 2 * height, 2 * width)


def test_it_is_verified_and_its_golden_output_is_the_same(bundle: Path, tmp_path: Path) -> None:
    copy = nas.export(bundle, tmp_path / "free", sizes="any")
    checks = {check.what: check for check in verify(copy)}
    assert all(check.passed is not False for check in checks.values())
    exact = [c for c in checks.values() if c.told == "the golden output bit for bit"]
    assert len(exact) >= 2
    assert "Height and width are left open" in (copy / "README.md").read_text()


@pytest.mark.parametrize("is_older", [False, True])
def test_its_receipts_are_measured_again_on_the_very_files_that_were_timed(
    is_older: bool, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    class Bench:
        def __enter__(self) -> Bench:
            return self

        def __exit__(self, *told: object) -> None: ...

        latency = property(lambda self: self)

        def measure(self, onnx: bytes, precision: str) -> None:
            seen.append(onnx)
            raise ValueError("that is enough")

    monkeypatch.setattr("nas.verify.open_bench", lambda *args, **kwargs: (Bench(), None))
    facts = {"io": "float_nchw", "input_shape": (1, 3, HEIGHT, WIDTH)}
    receipt = SimpleNamespace(engine="openvino", threads=1, precision="fp32", **facts)
    monkeypatch.setattr("nas.verify.LatencyReport.from_json", lambda said: receipt)
    if is_older:
        (bundle / "golden.json").unlink()
        said = json.loads((bundle / "manifest.json").read_text())
        del said["golden.json"]
        (bundle / "manifest.json").write_text(json.dumps(said))
    copy = nas.export(bundle, tmp_path / "free", sizes="any")
    list(verify(copy, timed=True))
    assert sorted(seen) == sorted(path.read_bytes() for path in bundle.glob("*.onnx"))


def test_a_network_that_holds_a_size_and_what_is_none_are_refused(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", reference("esr_max", 2), precisions=("fp32",))
    with pytest.raises(SettingsError, match="layer 2, a GroupReduce, holds the size"):
        nas.export(folder, tmp_path / "free", sizes="any")
    (folder / "architecture.json").write_text("{}")
    with pytest.raises(SettingsError, match="describes no network"):
        nas.export(told_again(folder), tmp_path / "free", sizes="any")
    with pytest.raises(SettingsError, match="sizes is 'all': use timed or any"):
        nas.export(folder, tmp_path / "free", sizes="all")  # type: ignore[arg-type]
    assert not (tmp_path / "free").exists()
