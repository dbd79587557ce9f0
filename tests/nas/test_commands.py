"""The command line: light to start, and one line for what the user can mend."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_search import ROOT, TOY, nas
from toy_search import write_photos

from latency_models.base import DeviceError
from nas import commands
from nas.commands import search

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def refused(
    tmp_path: Path,
    photos: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Refused:
    """Search in this process with settings that do not work; returns the one line that is said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nas"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")

    def run(*settings: str) -> str:
        small = ["study.candidates=2", "study.references=[]", f"task.data.train={photos}"]
        # A process that lives on would keep Hydra's log file open.
        quiet = ["hydra/job_logging=disabled", "hydra/hydra_logging=disabled"]
        code = search.main([*TOY, *small, *quiet, *settings])
        _, errors = capfd.readouterr()
        assert code == 2
        assert errors.startswith("nas: ")
        assert errors.count("\n") == 1
        assert errors.endswith("\n")
        return errors

    return run


_HEAVY = """
import sys
from nas.commands import main
sys.argv = ["nas", "--help"]
code = main()
heavy = {"torch", "optuna", "hydra", "omegaconf", "onnx", "openvino", "numpy", "rich"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HEAVY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    for verb, what in commands.VERBS.items():
        assert verb in done.stdout
        assert what in done.stdout


@pytest.mark.parametrize("verb", commands.VERBS)
def test_every_command_that_is_named_has_its_file(verb: str) -> None:
    assert (ROOT / "nas" / "commands" / f"{verb.replace('-', '_')}.py").is_file()


def test_an_unknown_command_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    code, output, errors = nas("serach", folder=tmp_path)
    assert (code, output) == (2, "")
    assert errors.startswith("nas: unknown command 'serach' (did you mean search?); there are: ")
    assert errors.count("\n") == 1


def test_a_mistake_is_one_line_and_exit_code_2_in_a_real_process(tmp_path: Path) -> None:
    code, _, errors = nas("search", "target.engine=tvm", folder=tmp_path)
    assert code == 2
    assert errors == (
        "nas: unknown engine 'tvm': there are openvino, onnxruntime, tensorrt, tensorrt_rtx, "
        "inductor and auto, and "
        "module:Class names one of your own\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"]])
def test_settings_are_shown_without_running_anything(
    arguments: list[str], tmp_path: Path
) -> None:
    code, output, errors = nas("search", *arguments, folder=tmp_path)
    assert (code, errors) == (0, "")
    assert "max_latency_ms: 50" in output or "target.max_latency_ms=50" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["study.foo=1"], "there is no setting 'study.foo'"),
        (["+study.foo=1"], "there is no study.foo; there are name, candidates"),
        (["+budget.foo=1"], "there is no budget.foo; there are max_steps"),
        (["task=nope"], "there is no task=nope; there are antialiasing, denoising"),
        (["nonsense"], "Error parsing override 'nonsense'"),
        (["study.candidates=0"], "study.candidates is 0: it must be at least 1"),
        (["study.candidates=many"], "study.candidates is 'many': use a whole number"),
        (["study.seed=1.5"], "study.seed is '1.5': use a whole number"),
        (["study.name=a/b"], "study.name is 'a/b'"),
        (["study.name=.."], "study.name is '..'"),
        (["target.threads=4096"], "threads is 4096, and this process has"),
        (["study.references=[edsr]"], "network 'edsr' (did you mean vdsr?); known: a"),
        (["target.precision=int4"], "target.precision is 'int4': use fp32, fp16 or int8"),
        (["target.height=0"], "target.height is 0: it must be a positive number"),
        (["target.max_latency_ms=fast"], "target.max_latency_ms is 'fast': use a number"),
        (["budget.max_steps=0"], "budget.max_steps is 0: use 1 to 1000000000"),
        (["budget.learning_rate=nan"], "budget.learning_rate is 'nan': use a number that is"),
        (["budget.precision=fp16"], "budget.precision is 'fp16', which needs a GPU"),
        (["target.max_latency_ms=inf"], "a search needs a limit"),
        (["~policy"], "policy"),
        (["policy=null"], "must be a string"),
        (["target=5"], "must be a string"),
        (["study=[]"], "'study.name' cannot be set"),
        (["workers=null"], "workers is 'None', which is no group of settings"),
        (["hydra.run.dir=/proc/x"], "/proc/x"),
        (["tracking=mlflow"], "there is no tracking=mlflow; there are none, tensorboard, wandb"),
        (["+experiment=typo"], "there is no experiment=typo; there are antialiasing, temporal"),
        (["budget.learning_rate=high"], "budget.learning_rate is 'high': use a number"),
        (["target.engine=tvm"], "unknown engine 'tvm': there are openvino"),
        (["search_space.ops=[cnov]"], "search_space.ops 'cnov' (did you mean conv?); known: b"),
        (["search_space.widths=[]"], "search_space.widths is empty"),
        (["task.data.train=nowhere"], "there is no folder nowhere"),
        (["task.crop=15"], "task.crop is 15: use an even number"),
        (["task.crop=9000"], "is smaller than 18000x18000"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_was_asked_for_wrongly_is_named_in_one_line(
    refused: Refused, settings: list[str], words: str
) -> None:
    assert words in refused(*settings)


def test_a_precision_that_the_engine_lacks_is_refused_before_the_study_is_begun(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*_: object) -> None:
        raise DeviceError("no fp16 kernels for this processor: ask for fp32 or int8")

    monkeypatch.setattr("latency_models.isolated.IsolatedLatency.run", lacks)
    line = refused("target.engine=openvino", "target.precision=fp16")
    assert line == "nas: no fp16 kernels for this processor: ask for fp32 or int8\n"
    assert not (tmp_path / "runs" / "toy" / "settings.json").exists()


def test_what_can_be_seen_to_be_wrong_is_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys; from nas.commands import search; "
        "code = search.main(['budget.max_steps=0']); "
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )
    assert done.stdout == "2 False\n", done.stderr


def test_several_limits_are_searched_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    begun: list[tuple[str, float]] = []

    def search_alone(config: Any) -> int:
        begun.append((str(config.study.name), float(config.target.max_latency_ms)))
        return 2 if config.target.max_latency_ms == 20 else 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nas"])
    monkeypatch.setattr(search, "_search_alone", search_alone)
    quiet = ["hydra/job_logging=disabled", "hydra/hydra_logging=disabled"]
    assert search.main(["-m", *quiet, "target.max_latency_ms=50,20,30"]) == 2
    assert [limit for _, limit in begun] == [50, 20, 30]
    assert len({name for name, _ in begun}) == 3
    assert "study 2 of 3: runs/x2-360x640-int8-20ms" in capfd.readouterr().err
    begun.clear()
    # All are looked at before the first is begun.
    assert search.main(["-m", *quiet, "target.max_latency_ms=50,-1"]) == 2
    assert search.main(["-m", *quiet, "study.name=one", "target.max_latency_ms=50,20"]) == 2
    assert begun == []


def test_an_engine_that_is_not_installed_is_not_replaced_by_another(refused: Refused) -> None:
    from latency_models.engines.trt import TensorRTEngine

    if TensorRTEngine().available() is None:
        pytest.skip("TensorRT is installed here")
    line = refused("target.engine=tensorrt")
    assert "engine 'tensorrt' was asked for but cannot run here" in line
    assert "pip install" in line


def test_an_empty_folder_of_photographs_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty is empty: put images" in refused(f"task.data.train={tmp_path}/empty")


def test_a_folder_that_cannot_be_written_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused(f"runs_dir={tmp_path}/file/runs")
    assert f"cannot use {tmp_path}/file/runs/toy" in line
    assert "give runs_dir=" in line


def test_a_folder_in_which_another_search_works_is_left_alone(
    refused: Refused, tmp_path: Path
) -> None:
    held = tmp_path / "runs" / "toy"
    held.mkdir(parents=True)
    with (held / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another search is working in" in refused()
    assert [path.name for path in held.iterdir()] == [".lock"]


def test_a_limit_that_nothing_meets_is_answered_with_the_fastest_network(
    refused: Refused, tmp_path: Path
) -> None:
    line = refused("target.max_latency_ms=0.001")
    assert "no network is within target.max_latency_ms=0.001: the fastest of 2 takes" in line
    again = refused("target.max_latency_ms=0.001")
    assert again == line


def test_an_input_that_no_network_of_the_space_fits_is_named(refused: Refused) -> None:
    line = refused("target.height=47", "search_space.reductions=[strided]")
    assert "a 47x64 tensor does not divide by 2" in line


def test_a_begun_study_is_not_carried_on_with_other_settings(
    refused: Refused, tmp_path: Path
) -> None:
    refused("target.max_latency_ms=0.001")
    line = refused("target.max_latency_ms=0.001", "target.width=80", "study.seed=7")
    assert "was begun with other settings" in line
    assert "study.seed was 0, now 7" in line
    assert "target.width was 64, now 80" in line
