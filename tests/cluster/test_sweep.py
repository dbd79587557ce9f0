"""Four workers on a real Slurm and a real PostgreSQL, through everything that goes wrong there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import pytest
import toy_sweep
from optuna.trial import TrialState
from servers import Servers

from nas.evidence import PROBED, TRAINED
from nas.ledger import Ledger
from nas.workers.status import NoStudy, Seen, Status, read_status

CANDIDATES = 16
PLAN = (
    *toy_sweep.FIXED, toy_sweep.starts(CANDIDATES), f"study.candidates={CANDIDATES}",
    "study.finalists=4", "study.name=toy",
)
SLURM = ("cluster=slurm", "cluster.cpus=2", "cluster.memory_gb=1", "storage=postgres")
HELD = {
    "begintime": "update jobid={job} StartTime=now",
    "held": "release {job}",
}
_COMMAND = (sys.executable, "-c", "from nas.commands import entry; entry()", "search")


def start(
    folder: Path, *arguments: str, variables: dict[str, str], step_s: float = 0.0
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_COMMAND, *arguments], cwd=folder, text=True,
        env={**toy_sweep.environment(step_s=step_s), **variables},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # As in the background of a script: what is to end by itself may not need Ctrl-C for it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )


def search(
    folder: Path, *arguments: str, variables: dict[str, str] | None = None
) -> tuple[int, str, str]:
    process = start(folder, *arguments, variables=variables or {})
    output, errors = process.communicate(timeout=170)
    return process.returncode, output, errors


@dataclass
class Watched:
    """A study that is looked at all the time while it runs."""

    folder: Path
    seen: list[Status] = field(default_factory=list)

    def now(self) -> Status | None:
        try:
            return read_status(self.folder)
        except NoStudy:
            return None

    @contextmanager
    def all_the_time(self) -> Iterator[None]:
        end = threading.Event()

        def look() -> None:
            while not end.wait(0.3):
                status = self.now()
                if status is not None:
                    self.seen.append(status)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def until(
        self, condition: Callable[[Status], bool], process: subprocess.Popen[str]
    ) -> Status:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            status = self.now()
            if status is not None and condition(status):
                return status
            if process.poll() is not None:
                raise AssertionError(f"it ended before: {process.communicate()}")
            time.sleep(0.1)
        process.terminate()
        raise AssertionError(f"it never came to that; at last: {self.now()}")


def working(status: Status, *, at: str = "") -> list[Seen]:
    return [one for one in status.workers if one.state == "working" and at in one.worker.doing]


def by_number(status: Status, number: int) -> Seen:
    return [one for one in status.workers if one.worker.number == number][-1]


@dataclass(frozen=True)
class Ended:
    """What a sweep that was disturbed in every way has left."""

    servers: Servers
    study: Path
    code: int
    errors: str
    statuses: list[Status]
    killed: Seen
    preempted: Seen


@pytest.fixture(scope="module")
def ended(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("sweep")
    study = Watched(folder / "runs" / "toy")
    process = start(
        folder, "-m", "worker=range(0,4)", *PLAN, *SLURM,
        variables=servers.variables, step_s=0.35,
    )
    with study.all_the_time(), ended_at_last(process):
        # One is preempted, and may start again at once.
        study.until(lambda s: len(working(s, at="trial-")) == 4, process)
        status = study.until(lambda s: "prob" in by_number(s, 0).worker.doing, process)
        preempted = by_number(status, 0)
        servers.slurm("scancel", "--signal=USR2", str(preempted.worker.job))
        study.until(lambda s: by_number(s, 0).state == "ended", process)
        # It comes back beside all that follows.
        freeing = threading.Thread(target=free, args=(servers, preempted))
        freeing.start()
        # One is killed.
        status = study.until(lambda s: "prob" in by_number(s, 1).worker.doing, process)
        killed = by_number(status, 1)
        os.kill(int(killed.worker.process.split()[0]), signal.SIGKILL)
        # The node of one is drained, and its job sent elsewhere.
        status = study.until(lambda s: s.funnel.came(PROBED) >= 4, process)
        drained = by_number(status, 2)
        servers.slurm(
            "scontrol", "update", f"nodename={drained.worker.host}", "state=drain", "reason=test"
        )
        servers.slurm("scontrol", "requeue", str(drained.worker.job))
        freeing_too = threading.Thread(target=free, args=(servers, drained))
        freeing_too.start()
        # The database is away for a while.
        study.until(lambda s: s.funnel.came(PROBED) >= 6, process)
        servers.postgres("stop")
        time.sleep(1.5)
        servers.postgres("start")
        _, errors = process.communicate(timeout=150)
        for thread in (freeing, freeing_too):
            thread.join()
        until_finished(servers, study, preempted)
        servers.slurm("scontrol", "update", f"nodename={drained.worker.host}", "state=resume")
    return Ended(
        servers, study.folder, process.returncode, errors, study.seen, killed, preempted
    )


@contextmanager
def ended_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    """Leave no process behind when a test stops half way."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def free(servers: Servers, one: Seen) -> None:
    """Slurm holds a job that was queued again for two minutes; let it start now."""
    deadline, was_queued = time.monotonic() + 90, False
    while time.monotonic() < deadline:
        queued = start_now(servers, one)
        if was_queued and not queued:
            return
        was_queued = was_queued or queued
        time.sleep(0.3)


def start_now(servers: Servers, one: Seen) -> bool:
    """Whether the worker's job is queued; what holds it there is taken away."""
    try:
        said = servers.slurm("squeue", "--noheader", "--format=%t %r", f"--job={one.worker.job}")
    except subprocess.CalledProcessError:
        return False  # it has ended, and Slurm has forgotten it
    change = next((words for reason, words in HELD.items() if reason in said.lower()), "")
    if said.startswith("PD") and change:
        # The job may have started in between, and then there is nothing to change.
        with suppress(subprocess.CalledProcessError):
            servers.slurm("scontrol", *change.format(job=one.worker.job).split())
        time.sleep(2)
    return said.startswith("PD")


def until_finished(servers: Servers, study: Watched, one: Seen) -> None:
    """A worker that comes back when all is done still joins, and leaves at once."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        status = study.now()
        assert status is not None
        if by_number(status, one.worker.number).worker.ended == "finished":
            return
        start_now(servers, one)
        time.sleep(0.3)
    job = _shown(servers, one)
    logs = "\n".join(path.read_text() for path in study.folder.glob("jobs/**/*log.*"))
    raise AssertionError(f"worker {one.worker.number} did not come back\n{job}\n{logs[-8000:]}")


def _shown(servers: Servers, one: Seen) -> str:
    told = f"squeue -a; sinfo; scontrol show job {one.worker.job} 2>&1; true"
    return servers.slurm("sh", "-c", told)


def test_the_sweep_comes_to_its_end(ended: Ended) -> None:
    assert ended.code == 0, ended.errors
    final = read_status(ended.study)
    assert final.report is not None
    assert (final.funnel.proposed, final.left) == (CANDIDATES, ())


def test_every_candidate_ended_exactly_once(ended: Ended) -> None:
    made = toy_sweep.made(ended.study)
    assert set(made.values()) == {1}
    names = {line.split()[0] for line in made}
    assert len([name for name in names if name.startswith("trial-")]) == CANDIDATES
    storage = optuna.storages.RDBStorage(_url(ended.servers))
    trials = optuna.load_study(study_name="toy", storage=storage).get_trials()
    states = [t.state for t in trials]
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == CANDIDATES
    assert TrialState.RUNNING not in states


def _url(servers: Servers) -> str:
    url = servers.variables["FREEWAY_STORAGE_URL"]
    return url.replace(
        "postgresql://freeway@",
        f"postgresql+psycopg2://freeway:{servers.variables['PGPASSWORD']}@",
    )


def test_no_step_was_made_twice_except_by_the_worker_that_was_killed(ended: Ended) -> None:
    lines = (ended.study / toy_sweep.LOG).read_text().splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    twice = {line for line in steps if steps.count(line) > 1}
    assert all(ended.killed.worker.doing in line for line in twice), twice


def test_the_front_is_that_of_an_undisturbed_search(ended: Ended, tmp_path: Path) -> None:
    code, _, errors = search(tmp_path, *PLAN)
    assert (code, errors) == (0, "")
    disturbed = toy_sweep.outcome(Ledger(ended.study).all())
    assert disturbed == toy_sweep.outcome(Ledger(tmp_path / "runs" / "toy").all())
    assert sum("exported" in case["evidence"] for case in disturbed.values()) >= 1


def test_the_status_told_the_truth_throughout(ended: Ended) -> None:
    counts = [s.funnel.came(PROBED) + s.funnel.came(TRAINED) for s in ended.statuses]
    assert counts == sorted(counts)
    assert all(len(working(s)) <= 4 for s in ended.statuses)
    after_kill = [
        one.state for s in ended.statuses for one in s.workers
        if one.worker.id == ended.killed.worker.id
    ]
    assert after_kill[0] == "working"
    assert after_kill[-1] == "killed"
    assert "ended" not in after_kill
    final = read_status(ended.study)
    (before,) = [w for w in final.workers if w.worker.id == ended.preempted.worker.id]
    assert before.worker.ended == "interrupted (SIGUSR2 received)"
    again = [w for w in final.workers if w.worker.job == ended.preempted.worker.job]
    assert [w.worker.ended for w in again][1:] == ["finished"]


def test_no_password_is_anywhere_in_the_study(ended: Ended) -> None:
    secret = ended.servers.variables["PGPASSWORD"].encode()
    written = [path for path in ended.study.rglob("*") if path.is_file()]
    assert len(written) > 40
    assert not [path for path in written if secret in path.read_bytes()]
    assert ended.servers.variables["PGPASSWORD"] not in ended.errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cluster.partition=gpu",), "cluster.partition is 'gpu': Slurm has main"),
        (("storage.url=postgresql://freeway@127.0.0.1:9/sweeps",), "does not answer"),
        (("storage.url=postgres//sweeps",), "is no address (not shown, it may hold a password)"),
        (("storage.url=mysql://h/d",), "begins with 'mysql': there is postgresql"),
        (("storage.url=postgresql://u:geheim@h/d",), "there is a password on the command line"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_submitted(
    servers: Servers, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, _, errors = search(
        tmp_path, "-m", "worker=range(0,4)", *PLAN, *SLURM, *arguments,
        variables=servers.variables,
    )
    assert code == 2
    assert words in errors
    assert "geheim" not in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.glob("runs/*/jobs"))
