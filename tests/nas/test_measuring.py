"""Latency through the study's storage: asked here, measured elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_studies import receipt
from optuna.exceptions import StorageInternalError
from toy_search import SMALL

from latency_models.base import CompileError, DeviceError, LatencyReport, Plan, Precision
from nas.commands import measure_worker
from nas.storage import StorageError, journal
from nas.workers.measuring import (
    Requests,
    Wanted,
    WrongDevice,
    pack_frames,
    serve,
    unpack_frames,
)
from nas.workers.served import ServedLatency
from nas.workers.version import code_version
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

ROOT = Path(__file__).parents[2]
DEVICE = {"engine": "tensorrt", "engine_version": "10.3", "device": "Orin"}


class Device:
    """Times by the file's length; breaks as it is told."""

    def __init__(self, *failures: Exception, device: str = "Orin") -> None:
        self._failures, self._device = list(failures), device
        self.asked: list[tuple[str, float | None]] = []
        self.plans: list[bytes | None] = []

    def identity(self) -> dict[str, str]:
        return {**DEVICE, "device": self._device}

    def measure(
        self,
        onnx: bytes,
        precision: Precision,
        *,
        limit_ms: float | None = None,
        plan: bytes | None = None,
    ) -> LatencyReport:
        self.asked.append((precision, limit_ms))
        self.plans.append(plan)
        if self._failures:
            raise self._failures.pop(0)
        return receipt(float(len(onnx)), device=self._device, precision=precision)

    def run(self, onnx: bytes, precision: Precision, frames: Any, carried: Any) -> list[Any]:
        self.carried = carried
        return [{name: 2 * array for name, array in frame.items()} for frame in frames]


@contextmanager
def serving(
    folder: Path, device: Device, *, name: str = "orin-1", loads_plans: bool = False
) -> Iterator[None]:
    end = threading.Event()

    def work() -> None:
        timers = {"screening": device, "latency": device}
        serve(
            opened(folder), timers, name=name, notice=lambda line: None, until=end.is_set,
            loads_plans=loads_plans,
        )

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(timeout=20)


def opened(folder: Path) -> Requests:
    return Requests(journal(folder / "study.journal"), "photos")


def client(folder: Path, **changed: Any) -> ServedLatency:
    return ServedLatency(opened(folder), "latency", notice=lambda line: None, **changed)


def test_a_receipt_comes_from_the_device_and_names_its_machine(tmp_path: Path) -> None:
    device = Device()
    with serving(tmp_path, device):
        report = client(tmp_path).measure(b"x" * 7, "int8", limit_ms=40.0)
    assert (report.median_ms, report.device) == (7.0, "Orin")
    assert report.conditions["measured_by"] == "orin-1"
    assert device.asked == [("int8", 40.0)]
    assert client(tmp_path).identity() == DEVICE


def test_outputs_come_back_exactly(tmp_path: Path) -> None:
    rng, device = np.random.default_rng(0), Device()
    frames = [
        {"frame": rng.random((1, 3, 5, 7), np.float32), "motion.x": rng.random((1, 2), np.float32)}
        for _ in range(11)
    ]
    with serving(tmp_path, device):
        doubled = client(tmp_path).run(b"x", "int8", frames, {"state": "history"})
    assert device.carried == {"state": "history"}
    assert len(doubled) == 11
    for one, other in zip(doubled, frames, strict=True):
        assert one.keys() == other.keys()
        for name, array in other.items():
            assert one[name].dtype == np.float32
            assert np.array_equal(one[name], 2 * array)
    again = unpack_frames(pack_frames(frames))
    assert np.array_equal(again[10]["motion.x"], frames[10]["motion.x"])


@pytest.mark.parametrize(
    ("failure", "words"),
    [(CompileError("no kernel for Conv"), "no kernel for Conv"),
     (DeviceError("out of memory"), "orin-1: out of memory")],
)
def test_whose_fault_it_is_comes_back_too(
    tmp_path: Path, failure: Exception, words: str
) -> None:
    with serving(tmp_path, Device(failure)):
        with pytest.raises(type(failure), match=words):
            client(tmp_path).measure(b"x", "int8")
        assert client(tmp_path).measure(b"x", "int8").median_ms == 1.0


def test_a_request_waits_for_the_first_measuring_worker(tmp_path: Path) -> None:
    answers: list[LatencyReport] = []
    thread = threading.Thread(
        target=lambda: answers.append(client(tmp_path).measure(b"xx", "int8")), daemon=True
    )
    opened(tmp_path)
    thread.start()
    time.sleep(0.3)
    assert answers == []
    with serving(tmp_path, Device()):
        thread.join(timeout=20)
    assert [answer.median_ms for answer in answers] == [2.0]


def test_what_a_killed_worker_had_begun_is_answered_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    requests = opened(tmp_path)
    ask = {"method": "measure", "protocol": "latency", "precision": "int8", "limit_ms": None}
    number = requests.ask(b"xxx", None, ask)
    taken = opened(tmp_path).take("orin-1")
    assert taken is not None
    assert opened(tmp_path).take("orin-2") is None
    with serving(tmp_path, Device()):
        while (answer := requests.answer_to(number)) is None:
            time.sleep(0.05)
    assert answer["report"]["median_ms"] == 3.0


def test_a_request_that_nobody_answers_is_asked_again(tmp_path: Path) -> None:
    answers: list[LatencyReport] = []
    asking = threading.Thread(
        target=lambda: answers.append(
            client(tmp_path, patience_s=0.6).measure(b"xx", "int8")
        ),
        daemon=True,
    )
    opened(tmp_path)
    asking.start()
    deadline = time.monotonic() + 20
    while opened(tmp_path).take("dead") is None and time.monotonic() < deadline:
        time.sleep(0.02)
    with serving(tmp_path, Device()):
        asking.join(timeout=20)
    assert answers[0].median_ms == 2.0


def test_one_study_is_timed_on_one_kind_of_device(tmp_path: Path) -> None:
    with serving(tmp_path, Device()):
        client(tmp_path).identity()
    with pytest.raises(WrongDevice, match="device is Xavier, there Orin"):
        opened(tmp_path).present("xavier-1", Device(device="Xavier").identity())
    opened(tmp_path).present("orin-2", Device().identity())
    assert opened(tmp_path).last_beat() == pytest.approx(time.time(), abs=60)


def test_an_answered_request_keeps_no_payload(tmp_path: Path) -> None:
    with serving(tmp_path, Device()):
        client(tmp_path).measure(b"x" * 99, "int8")
    (trial,) = opened(tmp_path)._study.get_trials()
    assert (trial.user_attrs["file"], trial.user_attrs["answer"]) == ("", "")


@pytest.mark.slow
def test_the_real_command_serves_a_real_engine(tmp_path: Path) -> None:
    requests = opened(tmp_path)
    requests.want(Wanted("openvino", 1, code_version()))
    command = [
        sys.executable, "-c", "from nas.commands import entry; entry()", "measure-worker",
        "photos", "--storage", str(tmp_path / "study.journal"), "--name", "bench",
    ]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    try:
        from nas.networks import rules_for

        onnx = untrained(
            lower(SMALL), precision="int8", height=24, width=32, rules=rules_for("openvino")
        )
        served = ServedLatency(requests, "screening", notice=print)
        report = served.measure(onnx, "int8", limit_ms=50.0)
        assert report.engine == "openvino"
        assert report.conditions["measured_by"] == "bench"
        (made,) = served.run(onnx, "int8", [{"input": np.zeros((1, 3, 24, 32), np.float32)}], {})
        assert made["output"].shape == (1, 3, 48, 64)
    finally:
        process.terminate()
        output_text, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "bench times openvino on" in output_text
    assert "started again under this name it carries on" in errors


def test_a_worker_whose_engine_has_no_plans_to_load_refuses_to_load_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(tmp_path).want(Wanted("openvino", 1, code_version()))
    storage = str(tmp_path / "study.journal")
    assert measure_worker.main(["photos", "--storage", storage, "--load-plans"]) == 2
    assert "the search asks for openvino: leave it out" in capsys.readouterr().err


def test_a_database_that_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.storage._FIRST_WAIT_S", 0.01)
    told: list[str] = []
    storage = journal(tmp_path / "study.journal")
    requests = Requests(storage, "photos", patience_s=60.0, notice=told.append)
    there, left = storage.get_trial, [3]

    def away(number: int) -> Any:
        if left[0]:
            left[0] -= 1
            raise StorageInternalError("the server is gone")
        return there(number)

    monkeypatch.setattr(storage, "get_trial", away)
    with serving(tmp_path, Device()):
        asking = ServedLatency(requests, "latency", notice=told.append)
        assert asking.measure(b"xx", "int8").median_ms == 2.0
    assert sum("does not answer" in line for line in told) == 3
    requests.patience_s, left[0] = 0.0, 1
    with pytest.raises(StorageError, match="does not answer: the server is gone"):
        requests.answer_to(0)


class Compiler:
    """Compiles on the side that asks."""

    def __init__(self, version: str = "10.3", refusal: str = "") -> None:
        self._version, self._refusal = version, refusal

    def identity(self) -> dict[str, str]:
        return {"engine_version": self._version}

    def build(self, onnx: bytes, precision: Precision) -> Plan:
        if self._refusal:
            raise CompileError(self._refusal)
        return Plan(b"plan of " + onnx, 3)

    def close(self) -> None:
        pass


def test_what_does_not_compile_here_never_takes_the_devices_time(tmp_path: Path) -> None:
    device = Device()
    with serving(tmp_path, device), pytest.raises(CompileError, match="no such kernel"):
        client(tmp_path, compiler=Compiler(refusal="no such kernel")).measure(b"x", "int8")
    assert device.asked == []


@pytest.mark.parametrize(
    ("loads", "version", "sent"),
    [(True, "10.3", [b"plan of xx"]), (False, "10.3", [None]), (True, "10.4", [None])],
)
def test_a_plan_is_sent_where_the_worker_loads_plans_of_that_version(
    tmp_path: Path, loads: bool, version: str, sent: list[bytes | None]
) -> None:
    device = Device()
    with serving(tmp_path, device, loads_plans=loads):
        while opened(tmp_path).identity is None:
            time.sleep(0.01)
        report = client(tmp_path, compiler=Compiler(version)).measure(b"xx", "int8")
    assert report.median_ms == 2.0
    assert device.plans == sent


def test_a_worker_that_does_not_load_plans_ignores_one_that_is_sent(tmp_path: Path) -> None:
    device, requests = Device(), opened(tmp_path)
    ask = {"method": "measure", "protocol": "latency", "precision": "int8", "limit_ms": None}
    number = requests.ask(b"xx", None, ask, b"native code of somebody")
    with serving(tmp_path, device):
        while requests.answer_to(number) is None:
            time.sleep(0.01)
    assert device.plans == [None]
