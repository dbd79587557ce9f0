"""A new stage is one file and one entry in STAGES: everybody else tells of it by themselves."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest
from fake_search import FakeStages, experiment, study_of
from finished_studies import BASELINE, PLAN, PSNR, TARGET
from rich.console import Console

import nas.stages
from nas.candidate import Candidate
from nas.commands import status
from nas.events import Finished
from nas.evidence import KNOWN, TRAINED, Evidence
from nas.experiment import Experiment, Stage, Words
from nas.ledger import Ledger
from nas.live.panel import draw
from nas.live.terminal import view_for
from nas.live.watch import Watch
from nas.pipeline import run_study
from nas.report.funnel import funnel
from nas.report.plots import funnel_plot


@dataclass(frozen=True)
class PolishReport:
    """What polishing left."""

    shine: float

    def __str__(self) -> str:
        return f"shines {self.shine:g}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data)


POLISHED = Evidence("polished", PolishReport)


def polish(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Rub it."""
    return candidate.having(POLISHED, PolishReport(candidate[TRAINED].metric / 2))


POLISH = Stage(POLISHED, polish, Words("polishing", done="polished"))


@pytest.fixture(autouse=True)
def polishing(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = list(FakeStages().stages())
    after = 1 + [stage.evidence for stage in stages].index(TRAINED)
    monkeypatch.setattr(nas.stages, "STAGES", (*stages[:after], POLISH, *stages[after:]))


def test_a_search_goes_through_it_and_its_evidence_is_kept(tmp_path: Path) -> None:
    here = experiment(tmp_path)
    found = run_study(here, study_of(here))
    polished = [c for c in found if c.has(POLISHED)]
    assert len(polished) == 5
    assert all(c[POLISHED].shine == c[TRAINED].metric / 2 for c in polished)
    for names in map(list, (c.evidence for c in polished)):
        assert names.index("polished") == names.index("trained") + 1
    assert Ledger(tmp_path).all() == found
    again = experiment(tmp_path)
    assert run_study(again, study_of(again)) == found


def test_the_terminal_the_report_and_the_status_tell_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = io.StringIO()
    with view_for(Console(file=out, width=200), PLAN, TARGET, PSNR) as view:
        here = experiment(tmp_path, view)
        found = run_study(here, study_of(here))
    words = "3 trained in full, 3 polished, 3 quantized"
    assert "polishing: shines 16." in out.getvalue()
    assert words in out.getvalue()

    watch = Watch(PLAN)
    for candidate in found:
        watch(Finished(candidate, POLISH, again=True))
    picture = draw(watch, found[:1], PLAN, TARGET, PSNR, BASELINE, width=120)
    Console(file=out, width=120).print(picture)
    assert "polished           3" in out.getvalue()

    assert ">polished</text>" in funnel_plot(funnel(found))

    settings = {
        "study": {"name": "photos", "candidates": 8}, "target": {"max_latency_ms": 40.0},
        "metric": asdict(PSNR),
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    assert status.main([str(tmp_path)]) == 0
    assert words in capsys.readouterr().out


def test_two_stages_do_not_leave_different_reports_under_one_name() -> None:
    assert KNOWN["polished"] is POLISHED
    with pytest.raises(ValueError, match="two kinds of evidence called 'polished'"):
        replace(POLISHED, report=type("Other", (PolishReport,), {}))
