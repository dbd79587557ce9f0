"""What several tests put in the place of a search's stages and of what it times with."""

from __future__ import annotations

from typing import Any

import pytest
from fake_benches import FakeIsolated
from fake_search import FakeStages

import nas.stages


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put stages in the place of the real ones."""

    def put(stages: FakeStages) -> FakeStages:
        monkeypatch.setattr(nas.stages, "STAGES", stages.stages())
        return stages

    return put


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeIsolated]:
    """Time nothing: answer at once, and keep what was asked."""
    monkeypatch.setattr("nas.measurements.benches.IsolatedLatency", FakeIsolated)
    monkeypatch.setattr("latency_models.roofline.numpy_copy_rate", lambda: 1e10)
    FakeIsolated.asked.clear()
    return FakeIsolated
