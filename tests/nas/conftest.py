"""What several tests of a search put into it."""

from __future__ import annotations

from typing import Any

import pytest
from fake_search import FakeStages

from nas import pipeline


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put stages into the pipeline."""

    def put(stages: FakeStages) -> FakeStages:
        monkeypatch.setattr(pipeline, "STAGES", stages.stages())
        return stages

    return put
