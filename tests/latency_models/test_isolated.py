"""What an engine does wrong costs a child process; whose fault it was is told."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from latency_models import device
from latency_models.base import CompileError, DeviceError
from latency_models.engines.ov import OpenVINOEngine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from tests.latency_models.small_nets import Misbehaving, conv_net


@pytest.fixture
def isolated() -> Iterator[IsolatedLatency]:
    with IsolatedLatency(Misbehaving, timeout_s=20.0, memory_limit_mib=400.0) as latency:
        yield latency


def pid_of(latency: IsolatedLatency) -> int:
    return int(latency.measure(b"tell the pid", "fp32").device)


def is_gone(pid: int, *, within_s: float = 10.0) -> bool:
    """True once no process has this id, or only a zombie that its parent has to collect."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_the_child_is_another_process_and_is_kept(isolated: IsolatedLatency) -> None:
    first = pid_of(isolated)
    assert first != os.getpid()
    assert pid_of(isolated) == first


def test_the_child_does_not_import_torch(isolated: IsolatedLatency) -> None:
    assert isolated.measure(b"torch?", "fp32").device == "False"


def test_a_segfault_is_the_candidates_rejection_with_the_last_words(
    isolated: IsolatedLatency,
) -> None:
    before = pid_of(isolated)
    with pytest.raises(CompileError, match="SIGSEGV.*about to segfault"):
        isolated.measure(b"segfault", "fp32")
    after = pid_of(isolated)
    assert after != before
    assert is_gone(before)


def test_an_exit_is_the_candidates_rejection(isolated: IsolatedLatency) -> None:
    with pytest.raises(CompileError, match="status 7.*about to exit"):
        isolated.measure(b"exit", "fp32")
    assert pid_of(isolated)


def test_a_hang_is_ended_and_is_the_candidates_rejection() -> None:
    with IsolatedLatency(Misbehaving, timeout_s=1.0) as latency:
        before = pid_of(latency)
        with pytest.raises(CompileError, match="no answer within 1 s"):
            latency.measure(b"hang", "fp32")
        assert is_gone(before)
        assert pid_of(latency) != before


@pytest.mark.parametrize("size", [0, 4 << 20], ids=["small", "larger than the channel holds"])
def test_the_time_for_which_the_child_was_stopped_is_not_the_candidates(size: int) -> None:
    with IsolatedLatency(Misbehaving, timeout_s=3.0) as latency:
        pid = pid_of(latency)
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(5.0, os.kill, (pid, signal.SIGCONT)).start()
        report = latency.measure(b"take a second" + b" " * size, "fp32")
        assert report.device == str(pid) == str(pid_of(latency))


_MEASURES = """
import sys
sys.path[:] = {path!r}
from latency_models.isolated import IsolatedLatency
from tests.latency_models.small_nets import Misbehaving
with IsolatedLatency(Misbehaving, timeout_s=3.0) as latency:
    print(latency.measure(b"tell the pid", "fp32").device, flush=True)
    print(latency.measure({what!r}, "fp32").device, flush=True)
"""


@pytest.mark.parametrize("what", [b"take a second", b"take a second" + b" " * (4 << 20)])
def test_a_job_that_was_suspended_whole_goes_on_where_it_was(what: bytes) -> None:
    script = _MEASURES.format(path=sys.path, what=what[:13])
    script = script.replace("b'take a second'", f"b'take a second' + b' ' * {len(what) - 13}")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        child = int(job.stdout.readline())
        time.sleep(0.2)
        for number, wait_s in ((signal.SIGSTOP, 5.0), (signal.SIGCONT, 0.0)):
            for pid in (job.pid, child):
                os.kill(pid, number)
            time.sleep(wait_s)
        assert int(job.stdout.readline()) == child


def test_memory_without_end_is_the_candidates_rejection(isolated: IsolatedLatency) -> None:
    with pytest.raises(CompileError, match="out of memory.*400 are allowed"):
        isolated.measure(b"eat memory", "fp32")
    assert pid_of(isolated)


def test_a_kill_from_outside_blames_the_machine_not_the_candidate(
    isolated: IsolatedLatency,
) -> None:
    pid = pid_of(isolated)
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(DeviceError, match="from outside by SIGKILL"):
        isolated.measure(b"hang", "fp32")
    assert pid_of(isolated) != pid


def test_refusals_and_bugs_keep_their_type_and_the_child(isolated: IsolatedLatency) -> None:
    before = pid_of(isolated)
    with pytest.raises(CompileError, match="Rolu"):
        isolated.measure(b"refuse", "fp32")
    with pytest.raises(KeyError, match="weights"):
        isolated.measure(b"bug", "fp32")
    assert pid_of(isolated) == before


def test_a_child_that_does_not_start_is_the_machines_fault() -> None:
    latency = IsolatedLatency(functools.partial(Misbehaving, "exit"))
    with pytest.raises(DeviceError, match=r"did not start.*libengine\.so"):
        latency.measure(b"anything", "fp32")


def test_arrays_go_in_and_come_out(isolated: IsolatedLatency) -> None:
    frame = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((300, 300))}
    (outputs,) = isolated.run(b"", "fp32", [frame], {})
    assert outputs.keys() == frame.keys()
    assert all(np.array_equal(2 * frame[name], outputs[name]) for name in frame)


def test_closing_ends_the_child(isolated: IsolatedLatency) -> None:
    pid = pid_of(isolated)
    isolated.close()
    assert is_gone(pid)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("doing", ["nothing", "hang", "hang with the interpreter lock"])
def test_the_child_dies_with_a_parent_that_is_killed(doing: str, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"""
import sys, pathlib
sys.path[:] = {sys.path!r}
from latency_models.isolated import IsolatedLatency
from tests.latency_models.small_nets import Misbehaving
latency = IsolatedLatency(Misbehaving)
pathlib.Path({str(note)!r}).write_text(latency.measure(b"pid", "fp32").device)
latency.measure({doing!r}.encode(), "fp32")
import time; time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        until = time.monotonic() + 20
        while not (note.exists() and note.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        parent.kill()
    assert is_gone(int(note.read_text()))


def test_waiting_for_another_process_that_is_timing_is_no_hang() -> None:
    engine = OpenVINOEngine()
    told: list[str] = []
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys, time; sys.path[:] = {sys.path!r}\n"
            "from latency_models import device\n"
            f"with device.exclusive({engine.device()!r}):\n"
            "    print('held', flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        factory = functools.partial(MeasuredLatency, engine)
        with IsolatedLatency(factory, timeout_s=10.0, notice=told.append) as latency:
            latency.identity()
            latency.timeout_s = 4.0
            threading.Timer(5.0, holder.stdin.close).start()
            found = latency.measure(conv_net(layers=1), "fp32", limit_ms=1000.0)
    assert found.conditions["side"] == "faster"
    assert str(holder.pid) in told[0]


def test_asking_while_holding_the_device_is_a_bug_not_a_deadlock(
    isolated: IsolatedLatency,
) -> None:
    with device.exclusive("some device"), pytest.raises(RuntimeError, match="release it first"):
        isolated.measure(b"anything", "fp32")


def test_a_real_engine_measures_and_runs_in_the_child() -> None:
    with IsolatedLatency(functools.partial(MeasuredLatency, OpenVINOEngine())) as latency:
        found = latency.measure(conv_net(), "fp32", limit_ms=1000.0)
        image = np.ones((1, 3, 32, 32), np.float32)
        (made,) = latency.run(conv_net(), "fp32", [{"x": image}], {})
    assert found.engine == "openvino"
    assert [output.shape for output in made.values()] == [(1, 16, 32, 32)]
