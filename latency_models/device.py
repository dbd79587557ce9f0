"""What the machine says about itself, and the lock that keeps two measurements apart."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from latency_models.base import DeviceError

Notice = Callable[[str], None]
LOCKS = Path("/tmp")
"""Where locks lie. Not where TMPDIR points: jobs with temporary folders of their own share the
device all the same."""
_POLL_S = 0.02
_TOLD_EVERY_S = 1.0
_DAY_S = 86_400.0
_CPU = Path("/sys/devices/system/cpu")

_held: set[int] = set()
_thread_locks: dict[str, threading.RLock] = {}
_depths: dict[str, int] = {}
_listeners: list[Callable[[str | None], None]] = []


def cpu_name() -> str:
    """The processor's model name."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def driver() -> str:
    """The NVIDIA driver's version where NVML tells it, else the kernel's release."""
    facts = gpu_conditions()
    return str(facts.get("gpu_driver", f"{platform.system()} {platform.release()}"))


def conditions() -> dict[str, float | str]:
    """Load, clocks, governor, temperature and free memory: whatever can be read here."""
    facts: dict[str, float | str] = {"free_memory_mib": free_memory_mib()}
    with suppress(OSError):
        facts["load_1min"] = round(os.getloadavg()[0], 2)
    if governor := _read(_CPU / "cpu0/cpufreq/scaling_governor").strip():
        facts["cpu_governor"] = governor
    if clock := _number(_CPU / "cpu0/cpufreq/scaling_cur_freq"):
        facts["cpu_mhz"] = clock / 1e3
    elif match := re.search(r"cpu MHz\s*:\s*([\d.]+)", _read(Path("/proc/cpuinfo"))):
        facts["cpu_mhz"] = float(match[1])
    if throttled := _number(_CPU / "cpu0/thermal_throttle/core_throttle_count"):
        facts["cpu_throttle_count"] = throttled
    zones = [_number(path) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    if zones:
        facts["hottest_zone_c"] = max(zones) / 1e3
    return facts | gpu_conditions()


def gpu_conditions(index: int = 0) -> dict[str, float | str]:
    """Clocks, temperature, throttling, power and memory of one GPU; empty without NVML."""
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    try:
        return _nvml_facts(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index))
    except pynvml.NVMLError:
        return {}
    finally:
        pynvml.nvmlShutdown()


def _nvml_facts(nvml: Any, gpu: Any) -> dict[str, float | str]:
    """Read each fact on its own: a GPU slice or an old driver tells some of them only."""
    readings: Mapping[str, Callable[[], float | str]] = {
        "gpu_name": lambda: _text(nvml.nvmlDeviceGetName(gpu)),
        "gpu_driver": lambda: _text(nvml.nvmlSystemGetDriverVersion()),
        "gpu_sm_mhz": lambda: float(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
        "gpu_memory_mhz": lambda: float(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM)),
        "gpu_temperature_c": lambda: float(
            nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)
        ),
        "gpu_power_w": lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1e3,
        "gpu_energy_j": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3,
        "gpu_free_memory_mib": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).free / 2**20,
        "gpu_busy_percent": lambda: float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu),
        "gpu_processes": lambda: float(len(nvml.nvmlDeviceGetComputeRunningProcesses(gpu))),
        "gpu_throttling": lambda: throttle_names(
            int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
        ),
    }
    facts: dict[str, float | str] = {}
    for name, read in readings.items():
        with suppress(nvml.NVMLError, AttributeError):
            facts[name] = read()
    return facts


def throttle_names(mask: int) -> str:
    """Names of NVML's throttle reasons that slow the clocks; idle and fixed clocks are no fault.

    The bits are those of `nvmlClocksEventReasons` in NVML's reference.
    """
    bits = {
        0x4: "power_cap",
        0x8: "hardware_slowdown",
        0x20: "thermal_software",
        0x40: "thermal_hardware",
        0x80: "power_brake",
    }
    return " ".join(name for bit, name in bits.items() if mask & bit)


def free_memory_mib() -> float:
    """Memory that can still be had without swapping, in MiB; 0 where it cannot be read."""
    match = re.search(r"MemAvailable:\s*(\d+)", _read(Path("/proc/meminfo")))
    return float(match[1]) / 1024 if match else 0.0


def resident_mib(*, peak: bool = False) -> float:
    """Resident memory of this process, or its peak since `reset_peak`, in MiB."""
    match = re.search(
        rf"{'VmHWM' if peak else 'VmRSS'}:\s*(\d+)", _read(Path("/proc/self/status"))
    )
    return float(match[1]) / 1024 if match else 0.0


def reset_peak() -> None:
    """Start the peak of `resident_mib` anew, where the kernel lets a process do so."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def busy_s() -> float | None:
    """Processor seconds that all processes of the machine spent since it started."""
    fields = _read(Path("/proc/stat")).split("\n", 1)[0].split()
    if len(fields) < 9:
        return None
    user, nice, system, _idle, _iowait, irq, soft, steal = (int(f) for f in fields[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def is_held() -> bool:
    """True while this process holds a device alone."""
    return any(_depths.values())


def tell_waiting(listener: Callable[[str | None], None]) -> None:
    """Call this with a sentence each second of a wait for a device, and with None at its end."""
    _listeners.append(listener)


def remembered(device_name: str, key: str, value: float, *, notably_less: float) -> float:
    """The least value that processes of this machine noted under this key, since it started.

    A new value replaces the noted one only below `notably_less` times it, so that chance does not
    creep downwards. Call it while holding the device.
    """
    boot = _read(Path("/proc/sys/kernel/random/boot_id")).strip()
    path = _lock_paths(device_name)[1].with_suffix(".json")
    try:
        notes = json.loads(_read(path) or "{}")
    except json.JSONDecodeError:
        notes = {}
    if notes.get("boot") != boot or time.time() - notes.get("since", 0) > _DAY_S:
        notes = {"boot": boot, "since": time.time(), "values": {}}
    known = notes["values"].get(key)
    if known is not None and value >= known * notably_less:
        return float(known)
    notes["values"][key] = value
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(notes))
    aside.replace(path)
    return value


@contextmanager
def exclusive(device_name: str, *, notice: Notice | None = None) -> Iterator[None]:
    """Hold the device alone, over all processes of this user; waits as long as it takes.

    A lock of the kernel on a file: it falls with the process that holds it, however that dies.
    Re-entrant within one thread. Who waits also closes a gate to later `shared` holders, so that
    a training that takes the device again and again cannot starve a measurement.

    Args:
        notice: called with a sentence when there is something to wait for, and again each second.
    """
    with _thread_locks.setdefault(device_name, threading.RLock()):
        if _depths.get(device_name):
            yield
            return
        gate, lock = _lock_paths(device_name)
        with _flock(gate, fcntl.LOCK_EX, notice), _flock(lock, fcntl.LOCK_EX, notice):
            _depths[device_name] = 1
            try:
                yield
            finally:
                _depths[device_name] = 0


@contextmanager
def shared(device_name: str, *, notice: Notice | None = None) -> Iterator[None]:
    """Use the device beside other `shared` users, never while someone holds it alone.

    Meant for training: take it for some steps at a time, and a measurement gets its turn.
    """
    gate, lock = _lock_paths(device_name)
    with _flock(gate, fcntl.LOCK_SH, notice):
        inner = _flock(lock, fcntl.LOCK_SH, notice)
        inner.__enter__()
    try:
        yield
    finally:
        inner.__exit__(None, None, None)


def each_wait_once(notice: Notice, *, tick: Callable[[], None] | None = None) -> Notice:
    """Tell of a wait for a device once, whoever holds it meanwhile.

    Args:
        tick: called for every second that is waited.
    """
    told: set[str] = set()

    def tell(words: str) -> None:
        what = words.partition(" is held by")[0]
        if what not in told:
            told.add(what)
            notice(words)
        if tick is not None:
            tick()

    return tell


@contextmanager
def _flock(path: Path, kind: int, notice: Notice | None) -> Iterator[None]:
    """Open and lock one file; polls, so that a signal handler gets its turn."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _held.add(file)
    try:
        if not _try_lock(file, kind):
            _wait(file, kind, path.stem, [*_listeners, *([notice] if notice else [])])
            for listener in _listeners:
                listener(None)
        if kind == fcntl.LOCK_EX:
            os.pwrite(file, f"{os.getpid():<20}".encode(), 0)
        yield
        if kind == fcntl.LOCK_EX:
            os.ftruncate(file, 0)
    finally:
        _held.discard(file)
        os.close(file)


def _wait(file: int, kind: int, name: str, listeners: Sequence[Notice]) -> None:
    """Poll until the lock is had; the listeners hear of it each second."""
    told_s = float("-inf")
    while not _try_lock(file, kind):
        if time.monotonic() - told_s >= _TOLD_EVERY_S:
            told_s = time.monotonic()
            holder = os.pread(file, 20, 0).decode().strip()
            for listener in listeners:
                listener(
                    f"waiting for the device: {name} is held by process {holder or 'unknown'}"
                )
        time.sleep(_POLL_S)


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_paths(device_name: str) -> tuple[Path, Path]:
    """The gate and the lock of one device, in a folder that belongs to this user alone."""
    folder = LOCKS / f"freeway-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise DeviceError(f"the lock folder {folder} belongs to someone else: remove it")
    readable = re.sub(r"[^A-Za-z0-9]+", "-", device_name).strip("-")[:40]
    stem = f"{readable}-{hashlib.sha256(device_name.encode()).hexdigest()[:8]}"
    return folder / f"{stem}.gate", folder / f"{stem}.lock"


def _forget_locks_in_child() -> None:
    """A forked child must not keep its parent's locks alive."""
    for file in _held:
        with suppress(OSError):
            os.close(file)
    _held.clear()
    _depths.clear()
    _thread_locks.clear()


os.register_at_fork(after_in_child=_forget_locks_in_child)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> float:
    text = _read(path).strip()
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else 0.0


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
