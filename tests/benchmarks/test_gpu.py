"""The GPU script: nothing that goes wrong in a part costs the others, and all of it runs here."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from gpu_parts.base import Form, Pace, Row
from gpu_parts.conductor import PARTS, Part, conduct, seconds_for
from gpu_parts.forms import NETWORKS, form_for
from gpu_parts.record import Record, header, line_of
from made_parts import FOLDER

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.py"
NOT_THERE = (
    "openvino", "optuna", "hydra", "omegaconf", "onnxscript", "sklearn", "rich", "PIL",
    "sqlalchemy", "tifffile", "av", "wandb", "pynvml", "onnxruntime",
    "tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings",
)  # fmt: skip
"""What a machine with a GPU and little else does not have."""
HIDING = """\
import sys
from importlib import metadata
sys.modules.update(dict.fromkeys({names}))
found = metadata.Distribution.from_name
def from_name(name):
    if name in {names}:
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.Distribution.from_name = from_name
"""


def conducted(name: str, folder: Path, *, seconds: float = 30.0) -> list[Row]:
    rows: list[Row] = []
    part = Part(name, 1, 0, entry=f"made_parts:{name}")
    env = {**os.environ, FOLDER: str(folder)}
    conduct(part, form_for("cpu", smallest=True), seconds, rows.append, env)
    return rows


def outcomes(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.what, row.outcome) for row in rows]


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def ends(pid: int) -> bool:
    until = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_running(pid)


def children_of(process: subprocess.Popen[str]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in tasks.read_text().split()]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which no process finds the other packages."""
    (tmp_path / "sitecustomize.py").write_text(HIDING.format(names=NOT_THERE))
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def started(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip


def test_a_part_gets_its_form_and_its_time(tmp_path: Path) -> None:
    (row,) = conducted("good", tmp_path)
    assert row.what == "ecbsr_m4c8" and row.value is not None and 0 < row.value <= 27
    assert row.facts == {"sizes": [[24, 32]]}


def test_a_part_that_raises_is_one_line_and_keeps_its_rows(tmp_path: Path) -> None:
    rows = conducted("raises", tmp_path)
    assert outcomes(rows) == [("before", "measured"), ("", "failed")]
    assert rows[-1].words == "RuntimeError: two lines"


def test_a_part_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    rows = conducted("hangs", tmp_path, seconds=4.0)
    assert outcomes(rows) == [("before", "measured"), ("", "failed")]
    assert rows[-1].words == "ended: its 4 s were over; its last words: still at it"
    assert ends(int((tmp_path / "started").read_text()))


def test_a_part_that_crashes_is_told_by_its_signal(tmp_path: Path) -> None:
    rows = conducted("crashes", tmp_path)
    assert outcomes(rows) == [("before", "measured"), ("", "failed")]
    assert "ended by SIGABRT" in rows[-1].words


def test_a_part_that_leaves_is_told_by_its_status(tmp_path: Path) -> None:
    (row,) = conducted("leaves", tmp_path)
    assert (row.outcome, row.words) == ("failed", "its process ended with status 7")


def test_a_part_without_its_library_is_absent_and_has_not_failed(tmp_path: Path) -> None:
    (row,) = conducted("absent", tmp_path)
    assert (row.outcome, row.words) == ("absent", "libnvinfer is not installed")


def test_a_line_that_was_not_written_to_its_end_is_none(tmp_path: Path) -> None:
    assert outcomes(conducted("torn", tmp_path)) == [("before", "measured")]


def test_the_time_that_is_left_is_shared_by_the_parts_that_wait() -> None:
    first, *later = PARTS
    everything = sum(part.share for part in PARTS)
    assert seconds_for(first, tuple(later), 480) == pytest.approx(480 * first.share / everything)
    assert seconds_for(PARTS[-1], (), 33) == 33
    spent = 0.0
    for place, part in enumerate(PARTS):
        spent += seconds_for(part, PARTS[place + 1 :], 480 - spent)
    assert spent == pytest.approx(480)


def test_a_turn_that_would_not_end_in_time_is_not_begun() -> None:
    pace = Pace(0.5)
    assert pace.allows()
    with pace.turn():
        time.sleep(0.3)
    assert pace.left_s > 0 and not pace.allows()


def test_a_form_survives_the_way_to_its_process() -> None:
    for device in ("cuda", "cpu"):
        for smallest in (False, True):
            form = form_for(device, smallest=smallest)
            assert Form.from_json(json.loads(json.dumps(asdict(form)))) == form


def test_a_gpu_is_asked_about_twenty_networks_that_inductor_covers() -> None:
    import onnx
    from gpu_parts.timing import items_of

    from latency_models.engines.inductor_module import to_module

    form = form_for("cuda", smallest=False)
    assert len(set(form.networks)) == 20 and set(form.few) < set(NETWORKS)
    for item in items_of(form.networks, form.precisions[:1], form.sizes):
        to_module(onnx.load_model_from_string(item.file("inductor")))


def test_the_json_is_complete_after_every_row(tmp_path: Path) -> None:
    record = Record(path := tmp_path / "gpu.json", {"device": "cpu"})
    for count in (1, 2):
        record.add(Row("networks", f"net {count}", "measured", 1.5, "ms", facts={"a": [1]}))
        data = json.loads(path.read_text())
        assert len(data["rows"]) == count and not data["ended"] and data["device"] == "cpu"
    record.write(ended=True)
    data = json.loads(path.read_text())
    assert data["ended"] and data["outcomes"] == {"measured": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["gpu.json"]


def test_a_line_shows_a_figure_with_its_unit_or_what_came_of_it() -> None:
    assert "1.235 ms" in line_of(Row("networks", "espcn", "measured", 1.23456, "ms"))
    assert "refused   no plan" in line_of(Row("rtx", "espcn", "refused", words="no plan"))
    assert len(line_of(Row("rtx", "espcn", "refused", words="no " * 500))) < 320
    assert header().startswith("part ")


def test_a_bare_machine_can_import_every_part(bare: dict[str, str]) -> None:
    lines = [f"sys.path[:0] = [{str(SCRIPT.parent)!r}, {str(ROOT)!r}]", "import gpu"]
    lines += [f"import gpu_parts.{part.name}" for part in PARTS]
    code = "import sys; " + "; ".join([*lines, "import gpu_parts.machine"])
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_script_itself_loads_no_torch() -> None:
    files = [SCRIPT, *(SCRIPT.parent / "gpu_parts" / f"{name}.py" for name in (
        "base", "forms", "conductor", "record", "child"))]  # fmt: skip
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert "torch" not in {name.split(".")[0] for name in names}, path


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_there_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    process = started("--out", str(tmp_path / "gpu.json"))
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 2 and output == "" and not list(tmp_path.iterdir())
    assert errors.startswith("no CUDA: ") and errors.count("\n") == 1 and "--device cpu" in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--minutes", "0"], "--minutes is 0"),
        (["--rtx", "nowhere"], "--rtx nowhere is no folder"),
        (["--out", "nowhere/gpu.json"], "there is no such folder"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_starts(
    arguments: list[str], words: str
) -> None:
    process = started(*arguments)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and words in errors


def test_parts_without_time_are_told_so(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    process = started(
        "--device", "cpu", "--smallest", "--minutes", "0.3", "--out", str(path), "--only",
        "networks", "training",
    )  # fmt: skip
    output, errors = process.communicate(timeout=120)
    rows = json.loads(path.read_text())["rows"]
    assert process.returncode == 0, errors
    assert [row["words"] for row in rows[1:]] == ["skipped: time"] * 2
    assert output.count("skipped: time") == 2


@pytest.fixture
def interrupted(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The script while a part of it is at work."""
    path = tmp_path / "gpu.json"
    process = started(
        "--device", "cpu", "--smallest", "--only", "networks", "--out", str(path),
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (path.is_file() and children_of(process)) and time.monotonic() < until:
        time.sleep(0.05)
    yield process, path
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_script_leaves_what_it_had_and_no_process(
    interrupted: tuple[subprocess.Popen[str], Path], number: signal.Signals
) -> None:
    process, path = interrupted
    children = children_of(process)
    process.send_signal(number)
    process.wait(timeout=60)
    assert process.returncode in (128 + number, -number)
    data = json.loads(path.read_text())
    assert [row["part"] for row in data["rows"]] == ["machine"] and not data["ended"]
    assert children and all(ends(pid) for pid in children)


@pytest.mark.slow
def test_the_smallest_form_runs_on_a_bare_machine(tmp_path: Path, bare: dict[str, str]) -> None:
    path = tmp_path / "gpu.json"
    process = started(
        "--device", "cpu", "--smallest", "--minutes", "20", "--out", str(path), env=bare
    )
    output, errors = process.communicate(timeout=1200)
    data = json.loads(path.read_text())
    assert process.returncode == 0, output + errors
    found = {(row["part"], row["outcome"]) for row in data["rows"]}
    measured = {"machine", "networks", "repeated", "trained", "training", "screened"}
    assert found == {*((p, "measured") for p in measured),
                     *((p, "absent") for p in ("trt", "rtx", "ort"))}, output  # fmt: skip
    for row in data["rows"]:
        shown = [line for line in output.splitlines() if line.startswith(row["part"])]
        assert any(row["what"] in line for line in shown)
        assert (row["value"] is not None) == (row["outcome"] == "measured")
    receipts = [row["facts"]["receipt"] for row in data["rows"] if row["part"] == "networks"]
    assert [(r["engine"], r["input_shape"]) for r in receipts] == [("inductor", [1, 24, 32, 1])]
    assert data["ended"] and list(tmp_path.glob("*.part")) == []


@pytest.mark.slow
def test_the_libraries_that_are_here_are_measured_or_say_why_not(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "gpu.json"
    process = started(
        "--device", "cpu", "--smallest", "--out", str(path), "--only", "trt", "rtx", "ort"
    )
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, output + errors
    by_part = {row["part"]: row for row in json.loads(path.read_text())["rows"]}
    assert by_part["ort"]["outcome"] == "measured" and by_part["ort"]["unit"] == "ms"
    assert {"trt", "rtx"} < set(by_part)
