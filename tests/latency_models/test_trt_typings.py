"""The TensorRT code is type-checked against the real signatures of both majors.

The stubs are folders `tensorrt-10.16` and `tensorrt-11.4` in $FREEWAY_TYPINGS, or in
`shared/typings` beside the repository.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TYPINGS = Path(os.environ.get("FREEWAY_TYPINGS", ROOT.parent / "shared" / "typings"))
CONFIG = """
[mypy]
strict = True
explicit_package_bases = True
namespace_packages = True

[mypy-openvino.*,onnxruntime.*]
ignore_missing_imports = True
"""


def mypy(tmp_path: Path, stubs: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG)
    cache = Path(os.environ.get("FREEWAY_MYPY_CACHE", tmp_path)) / stubs.name
    command = [sys.executable, "-m", "mypy", f"--config-file={config}", f"--cache-dir={cache}"]
    return subprocess.run(
        [*command, *map(str, files)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": f"{stubs}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )


def stubs_of(major: str) -> Path:
    found = sorted(TYPINGS.glob(f"tensorrt-{major}.*"))
    if not found:
        pytest.skip(f"no type stubs tensorrt-{major}.* in {TYPINGS}: set FREEWAY_TYPINGS")
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: pip install mypy")
    return found[-1]


@pytest.mark.slow
@pytest.mark.parametrize("major", ["10", "11"])
def test_every_name_and_argument_exists(tmp_path: Path, major: str) -> None:
    files = sorted((ROOT / "latency_models" / "engines").glob("trt*.py"))
    done = mypy(tmp_path, stubs_of(major), *files)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_name_that_is_gone_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import tensorrt\n\nprint(tensorrt.BuilderFlag.FP16)\n")
    done = mypy(tmp_path, stubs_of("11"), wrong)
    assert done.returncode != 0 and "FP16" in done.stdout
