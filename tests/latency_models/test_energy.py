"""Energy is told where the device counts it, and nothing is made up where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from latency_models import energy
from latency_models.base import Sample
from latency_models.energy import EnergyLatency
from tests.latency_models.small_nets import FakeEngine, Stream, conv_net

RUN_MJ = 3.0


class Counted(Stream):
    """Adds to a processor's counter with every run."""

    zone: Path

    def timed_runs(self, count: int) -> list[Sample]:
        path = self.zone / "energy_uj"
        path.write_text(str((int(path.read_text()) + round(count * RUN_MJ * 1e3)) % 10**9))
        return super().timed_runs(count)


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a made-up processor, whose counter starts again at 1000 J."""
    folder = tmp_path / "intel-rapl:0"
    folder.mkdir()
    (folder / "name").write_text("package-0\n")
    (folder / "energy_uj").write_text(str(10**9 - 20_000))
    (folder / "max_energy_range_uj").write_text(str(10**9))
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return folder


def latency(zone: Path | None) -> EnergyLatency:
    def stream() -> Stream:
        made = Counted(lambda _: 1.0)
        if zone is None:
            return Stream(lambda _: 1.0)
        made.zone = zone
        return made

    return EnergyLatency(FakeEngine(lambda: Stream(lambda _: 1.0), stream), run_s=0.05)


def test_a_full_receipt_tells_the_energy_of_one_inference(zone: Path) -> None:
    report = latency(zone).measure(conv_net(), "fp32")
    assert report.conditions["energy_mj"] == pytest.approx(RUN_MJ, rel=1e-3)
    assert float(report.conditions["energy_w"]) > 0
    assert report.conditions["energy_of"] == "processor package"


def test_an_answer_to_a_limit_spends_no_time_on_energy(zone: Path) -> None:
    report = latency(zone).measure(conv_net(), "fp32", limit_ms=100.0)
    assert "energy_mj" not in report.conditions


def test_counters_are_part_of_the_ground(zone: Path) -> None:
    assert latency(zone).identity()["energy"] == "intel-rapl:0"


def test_without_a_counter_the_receipt_is_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "none")
    monkeypatch.setattr("latency_models.device.gpu_conditions", lambda index=0: {})
    model = latency(None)
    assert "energy" not in model.identity()
    assert "energy_mj" not in model.measure(conv_net(), "fp32").conditions


def test_a_gpu_is_asked_for_its_own_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter(range(0, 10_000, 2))

    def conditions(index: int = 0) -> dict[str, Any]:
        return {"gpu_energy_j": float(next(spent))}

    class OnGpu(Stream):
        def timed_runs(self, count: int) -> list[Sample]:
            return [Sample(s.wall_ms, s.cpu_ms, s.cpu_ms) for s in super().timed_runs(count)]

    monkeypatch.setattr("latency_models.device.gpu_conditions", conditions)
    engine = FakeEngine(lambda: OnGpu(lambda _: 1.0), lambda: OnGpu(lambda _: 1.0))
    report = EnergyLatency(engine, run_s=0.02).measure(conv_net(), "fp32")
    assert report.conditions["energy_of"] == "gpu"
    assert float(report.conditions["energy_mj"]) > 0
