"""Sweeps through the real command whose stages only wait: evidence follows from the network.

A process becomes a toy by its environment (`environment`), so workers that a batch system starts
are toys too.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fake_search import FakeStages

from nas.candidate import Candidate, Origin
from nas.events import Step
from nas.evidence import EXPORTED, PROBED, QUANTIZED, TRAINED
from nas.experiment import Experiment, Stage
from trainers.base import Interrupted

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STEPS = 10
LOG = "stages.log"
_TRAINING = (PROBED, TRAINED, QUANTIZED)
FIXED = (
    "task.data.train=bundled", "study.references=[ecbsr_m4c16]", "target.max_latency_ms=40",
    "target.engine=openvino", "workers={beat_s: 0.5, lease_s: 3, poll_s: 0.3, grace_s: 20}",
)


def environment(*, step_s: float) -> dict[str, str]:
    """Makes toys of the processes that have it; each stage that trains takes ten such steps."""
    path = [HERE / "site", HERE, ROOT / "tests" / "nas", ROOT]
    before = os.environ.get("PYTHONPATH", "")
    return {
        **os.environ,
        "FREEWAY_TOY": str(step_s),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([*map(str, path), before]),
    }


def starts(count: int) -> str:
    """As many networks for a space to start from, so that it is known what will be proposed."""
    widths = (8, 16, 24, 32)
    entries = [
        f"{{reduction: none, activation: {activation}, stem_kernel: 3, kernel_1: 3, repeat_2: 0,"
        f" base: bicubic, skip: false, op_1: conv, stem_width_full: {stem}, "
        f"width_1_full: {width}, repeat_1: {repeat}}}"
        for activation in ("prelu", "relu")
        for repeat in (1, 2)
        for stem in widths
        for width in widths
    ]
    return f"search_space.start=[{', '.join(entries[:count])}]"


def install() -> None:
    """Put the toys into the pipeline of this process."""
    import nas.stages
    from nas import pipeline
    from nas.report import results
    from nas.workers import shared_study

    nas.stages.STAGES = tuple(map(toy, FakeStages().stages()))
    # Its processes would train for real.
    setattr(pipeline, "train_at_once", lambda *_: None)  # noqa: B010
    for module in (shared_study, results):
        setattr(module, "conclude", conclude)  # noqa: B010


def toy(fake: Stage) -> Stage:
    """A stage that waits in steps, remembers how far it came, and logs each one that it makes."""
    step_s, evidence = float(os.environ["FREEWAY_TOY"]), fake.name

    def body(candidate: Candidate, experiment: Experiment) -> Candidate:
        home = experiment.ledger.home(candidate.name)
        mark = home / f"{evidence}.ckpt"
        done = int(mark.read_text()) if mark.is_file() else 0
        try:
            while done < (STEPS if fake.evidence in _TRAINING else 1):
                time.sleep(step_s)
                done += 1
                log(experiment.folder, f"step {candidate.name} {evidence} {done}")
                experiment.tell(Step(candidate, fake.evidence, done, STEPS, 1.0 / done))
                experiment.workers.safe_point()
        except Interrupted:
            mark.write_text(str(done))
            raise
        after = fake.body(candidate, experiment)
        mark.unlink(missing_ok=True)
        log(experiment.folder, f"made {candidate.name} {evidence}")
        return after

    return replace(fake, body=body)


def log(folder: Path, line: str) -> None:
    """Append one line, whole, whoever else writes."""
    with (folder / LOG).open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def made(folder: Path) -> Counter[str]:
    """How often each stage of each candidate came to its end."""
    lines = (folder / LOG).read_text().splitlines()
    return Counter(line[5:] for line in lines if line.startswith("made "))


def conclude(experiment: Experiment, candidates: Sequence[Candidate], **_: Any) -> Any:
    """A report without pictures: the toys have no weights."""
    winners = sorted(c.architecture.id for c in candidates if c.has(EXPORTED))
    (experiment.folder / "report.html").write_text("\n".join(winners))
    return SimpleNamespace(
        summary=None, report=experiment.folder / "report.html", worth=None,
        show=lambda console: None,
    )


def outcome(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """What became of each network, whatever its trial's number."""
    return {
        c.architecture.id: replace(c, name="any", origin=Origin(c.origin.kind)).to_json()
        | {"parameters": dict(sorted(c.parameters.items()))}
        for c in candidates
    }
