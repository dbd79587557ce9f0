"""The lock keeps processes apart, and what cannot be read is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from latency_models import device

NAME = f"test device {os.getpid()}"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "LOCKS", tmp_path)


def holder(mode: str, **variables: str) -> subprocess.Popen[bytes]:
    """A process that holds the device until its standard input ends."""
    script = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from latency_models import device\n"
        f"device.LOCKS = Path({str(device.LOCKS)!r})\n"
        f"with device.{mode}({NAME!r}):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, **variables},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def released_after(process: subprocess.Popen[bytes], seconds: float) -> threading.Event:
    """Is set just before the process is asked to let go."""
    asked = threading.Event()

    def release() -> None:
        assert process.stdin is not None
        asked.set()
        process.stdin.close()

    threading.Timer(seconds, release).start()
    return asked


@pytest.mark.parametrize("mode", ["exclusive", "shared"])
def test_exclusive_waits_for_another_process_and_says_so_once(mode: str) -> None:
    told: list[str] = []
    with holder(mode) as process:
        asked = released_after(process, 0.4)
        with device.exclusive(NAME, notice=told.append):
            assert asked.is_set()
    assert len(told) == 1
    assert "waiting for the device" in told[0]


def test_jobs_with_temporary_folders_of_their_own_share_the_device(tmp_path: Path) -> None:
    told: list[str] = []
    with holder("exclusive", TMPDIR=str(tmp_path / "job"), XDG_RUNTIME_DIR="/nowhere") as process:
        asked = released_after(process, 0.4)
        with device.exclusive(NAME, notice=told.append):
            assert asked.is_set()
    assert len(told) == 1


def test_a_long_wait_is_told_again_each_second_and_its_end_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str | None] = []
    monkeypatch.setattr(device, "_TOLD_EVERY_S", 0.05)
    monkeypatch.setattr(device, "_listeners", [told.append])
    with holder("exclusive") as process:
        released_after(process, 0.6)
        with device.exclusive(NAME):
            pass
    assert len(told) > 4
    assert told[-1] is None and None not in told[:-1]


def test_shared_holders_do_not_wait_for_each_other() -> None:
    told: list[str] = []
    with holder("shared") as process:
        with device.shared(NAME, notice=told.append):
            pass
        assert process.stdin is not None
        process.stdin.close()
    assert told == []


def test_shared_waits_while_someone_is_timing() -> None:
    with holder("exclusive") as process:
        asked = released_after(process, 0.4)
        with device.shared(NAME):
            assert asked.is_set()


def test_the_lock_falls_with_the_process_that_held_it() -> None:
    with holder("exclusive") as process:
        process.send_signal(signal.SIGKILL)
    told: list[str] = []
    with device.exclusive(NAME, notice=told.append):
        assert device.is_held()
    assert told == []
    assert not device.is_held()


def test_holding_twice_in_one_thread_is_no_deadlock() -> None:
    with device.exclusive(NAME), device.exclusive(NAME):
        pass


def test_threads_of_one_process_are_kept_apart_too() -> None:
    inside = 0
    most = 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(20):
            with device.exclusive(NAME):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_value_is_remembered_until_a_notably_lower_one_comes() -> None:
    assert device.remembered(NAME, "openvino", 10.0, notably_less=0.97) == 10.0
    assert device.remembered(NAME, "openvino", 9.9, notably_less=0.97) == 10.0
    assert device.remembered(NAME, "openvino", 14.0, notably_less=0.97) == 10.0
    assert device.remembered(NAME, "openvino", 8.0, notably_less=0.97) == 8.0
    assert device.remembered(NAME, "other engine", 50.0, notably_less=0.97) == 50.0


def test_the_machine_tells_its_load_and_free_memory() -> None:
    facts = device.conditions()
    assert facts["free_memory_mib"]
    assert "load_1min" in facts
    assert all(isinstance(value, float | str) for value in facts.values())


def test_throttle_reasons_are_named_and_idle_clocks_are_none() -> None:
    assert device.throttle_names(0x1) == ""
    assert device.throttle_names(0x8 | 0x40) == "hardware_slowdown thermal_hardware"


def test_a_wait_is_told_once_whoever_holds_the_device_meanwhile() -> None:
    told: list[str] = []
    ticks: list[None] = []
    tell = device.each_wait_once(told.append, tick=lambda: ticks.append(None))
    tell("waiting for the device: cpu is held by process 1")
    tell("waiting for the device: cpu is held by process 2")
    tell("waiting for the device: gpu is held by process 2")
    assert [words.split()[4] for words in told] == ["cpu", "gpu"]
    assert len(ticks) == 3
