"""The roofs are measured, and what they allow a network follows by arithmetic."""

from __future__ import annotations

import math

import onnx
import pytest

from latency_models.base import CompileError, LatencyReport, Precision
from latency_models.engines.file_facts import file_precision
from latency_models.engines.ov import OpenVINOEngine
from latency_models.file_work import FileWork, work_of_file
from latency_models.peak_nets import COPY_BYTES, copy_net, dense_net
from latency_models.roofline import Peaks, measure_peaks, numpy_copy_rate, roof
from tests.latency_models.small_nets import conv_net, report

PEAKS = Peaks("int8", gmacs_per_s=100.0, gbytes_per_s=10.0)


class Machine:
    """A device that computes 50 GMAC/s at most, small networks at less, and moves 8 GB/s."""

    def __init__(self, clock: str = "device") -> None:
        self.clock = clock
        self.asked: list[int] = []

    def measure(
        self, file: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        work = work_of_file(file)
        self.asked.append(work.macs)
        rate = 50e9 * min(1.0, work.macs / 10e9)
        ms = work.macs / rate * 1e3 if work.macs else work.bytes_moved / 8e9 * 1e3
        return report(median_ms=ms, clock=self.clock)


def test_the_roofs_of_a_machine_are_found() -> None:
    machine = Machine()
    peaks = measure_peaks(machine, "fp32")
    assert peaks.gmacs_per_s == pytest.approx(50.0)
    assert peaks.gbytes_per_s == pytest.approx(8.0)
    assert peaks.ridge == pytest.approx(6.25)
    assert len(machine.asked) >= 3


def test_no_larger_network_is_tried_when_it_would_take_too_long() -> None:
    class Slow(Machine):
        def measure(
            self, file: bytes, precision: Precision, *, limit_ms: float | None = None
        ) -> LatencyReport:
            self.asked.append(1)
            return report(median_ms=400.0, clock="device")

    machine = Slow()
    measure_peaks(machine, "fp32")
    assert len(machine.asked) == 2


def test_on_a_processor_a_faster_plain_copy_is_the_memory_roof() -> None:
    fast = measure_peaks(Machine("cpu"), "fp32", copy_rate=lambda: 20e9)
    slow = measure_peaks(Machine("cpu"), "fp32", copy_rate=lambda: 2e9)
    assert fast.gbytes_per_s == pytest.approx(20.0)
    assert slow.gbytes_per_s == pytest.approx(8.0)


def test_the_longer_time_is_the_nearer_roof() -> None:
    computing = roof(FileWork(macs=10**9, bytes_moved=10**6), PEAKS)
    assert computing.compute_ms == pytest.approx(10.0)
    assert computing.memory_ms == pytest.approx(0.1)
    assert computing.nearer == "compute"
    moving = roof(FileWork(macs=10**6, bytes_moved=10**8), PEAKS)
    assert moving.memory_ms == pytest.approx(10.0)
    assert moving.nearer == "memory"
    assert moving.bound_ms == moving.memory_ms
    assert moving.share(20.0) == pytest.approx(0.5)
    assert moving.work.macs_per_byte == pytest.approx(0.01)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_dense_network_is_written_at_its_precision(precision: Precision) -> None:
    file = dense_net(precision, channels=8, side=6, weight_max=64)
    onnx.checker.check_model(file)
    model = onnx.load_model_from_string(file)
    assert file_precision(model) == precision
    assert work_of_file(file).macs == 6 * 8 * 8 * 9 * 36


def test_the_engine_runs_the_int8_network_in_int8() -> None:
    with OpenVINOEngine().compile(dense_net("int8", channels=8, side=6), "int8") as compiled:
        kinds = [layer.precision for layer in compiled.layers() if layer.kind == "Convolution"]
    assert set(kinds) <= {"u8", "i8"}


def test_the_copy_reads_and_writes_each_byte_once() -> None:
    work = work_of_file(copy_net())
    assert work.macs == 0
    assert work.bytes_moved == pytest.approx(2 * COPY_BYTES, rel=1e-6)
    assert work.uncounted == ()


def test_a_plain_copy_has_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latency_models.roofline.COPY_BYTES", 1 << 16)
    assert 0 < numpy_copy_rate() < math.inf


def test_work_is_counted_at_the_files_precision() -> None:
    # 3 -> 4 -> 4 features on 8x8; every tensor is read and written once.
    convs = (3 * 4 + 4 * 4) * 9
    as_float = work_of_file(conv_net(channels=4, size=8, layers=2))
    assert as_float.macs == convs * 64
    values = (3 + 4 + 4 + 4) * 64 + convs + 2 * 4
    assert as_float.bytes_moved == 4 * values
    as_int8 = work_of_file(conv_net(channels=4, size=8, layers=2, int8=True))
    assert as_int8.macs == as_float.macs
    # The input is quantized before it is read; the output and the biases stay float.
    assert as_int8.bytes_moved == (3 + 4 + 4) * 64 + convs + 4 * (4 * 64 + 2 * 4)


def test_what_is_no_file_cannot_be_counted() -> None:
    with pytest.raises(CompileError, match="counted"):
        work_of_file(b"no")
