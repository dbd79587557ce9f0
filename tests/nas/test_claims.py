"""Claims: exactly one living worker has a candidate, and a dead one's are open to all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.workers.base import LostClaim
from nas.workers.claims import CLAIMS, Claims, claims
from nas.workers.roster import WORKERS, Pace, Worker, registered

QUICK = Pace(beat_s=0.05, lease_s=0.4, poll_s=0.05)
ROOT = Path(__file__).parents[2]


def worker(number: int = 0, **changed: Any) -> Worker:
    return replace(Worker.this_process(number, code="c0de", now=0.0), **changed)


def joined(folder: Path, number: int = 0, **changed: Any) -> Claims:
    return Claims(folder, worker(number, **changed), QUICK)


def test_of_many_that_want_one_thing_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        workers = [stack.enter_context(joined(tmp_path, n)) for n in range(8)]
        for round_ in range(20):
            start, got = threading.Barrier(8), []

            def want(
                one: Claims, what: str = f"c{round_}", start: Any = start, got: Any = got
            ) -> None:
                start.wait()
                if one.take(what):
                    got.append(one.me.id)

            threads = [threading.Thread(target=want, args=(one,)) for one in workers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(got) == 1


def test_what_is_held_is_not_given_until_it_is_released(tmp_path: Path) -> None:
    with joined(tmp_path, 0) as one, joined(tmp_path, 1) as other:
        assert one.take("trial-00001")
        assert one.take("trial-00001")
        assert not other.take("trial-00001")
        one.release("trial-00001")
        assert other.take("trial-00001")
        other.release("trial-00001")
    assert [path for path in (tmp_path / CLAIMS).iterdir()] == []


def test_a_worker_that_leaves_lets_everything_go_and_says_why(tmp_path: Path) -> None:
    with joined(tmp_path, 1) as other:
        with pytest.raises(KeyError), joined(tmp_path, 0) as one:
            one.take("trial-00001")
            raise KeyError("weights")
        assert claims(tmp_path) == []
        assert other.take("trial-00001")
    ended = {w.number: w.ended for w in registered(tmp_path)}
    assert ended == {0: "KeyError: 'weights'", 1: "ended"}


def test_a_worker_of_another_machine_that_falls_silent_is_dead_after_its_lease(
    tmp_path: Path,
) -> None:
    silent = joined(tmp_path, 0, machine="elsewhere")
    with joined(tmp_path, 1) as other:
        silent._claims.mkdir(exist_ok=True)
        silent._write(silent.me)
        assert silent.take("trial-00001")
        assert not other.take("trial-00001")
        time.sleep(QUICK.lease_s * 1.5)
        assert other.take("trial-00001")
        with pytest.raises(LostClaim, match="no sign of life for 0.4 s: worker 001-"):
            silent.check("trial-00001")
        other.check("trial-00001")


def test_a_worker_that_beats_is_alive_however_long_its_stage_takes(tmp_path: Path) -> None:
    with joined(tmp_path, 0, machine="elsewhere") as busy, joined(tmp_path, 1) as other:
        assert busy.take("trial-00001")
        for _ in range(6):
            time.sleep(QUICK.lease_s / 3)
            assert not other.take("trial-00001")


def dated_back(one: Claims, by_s: float) -> None:
    """As if the clock had jumped since its last heartbeat."""
    now = one._record.stat().st_mtime
    os.utime(one._record, (now - by_s, now - by_s))


@pytest.mark.parametrize("machine", ["this one", "elsewhere"])
@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_that_jumps_takes_nothing_from_the_living(
    machine: str, by_s: float, tmp_path: Path
) -> None:
    changed = {} if machine == "this one" else {"machine": machine}
    with joined(tmp_path, 0, **changed) as living, joined(tmp_path, 1) as other:
        assert living.take("trial-00001")
        for _ in range(8):
            dated_back(living, by_s)
            assert not other.take("trial-00001")
            time.sleep(QUICK.beat_s)
        living.check("trial-00001")


@pytest.mark.parametrize("machine", ["this one", "elsewhere"])
def test_who_falls_silent_is_dead_though_the_clock_was_set_back(
    machine: str, tmp_path: Path
) -> None:
    changed = {} if machine == "this one" else {"machine": machine}
    silent = joined(tmp_path, 0, **changed)
    with joined(tmp_path, 1) as other:
        silent._write(silent.me)
        dated_back(silent, -3600.0)
        assert silent.take("trial-00001")
        until = time.monotonic() + 60
        while not other.take("trial-00001"):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_watcher_that_was_suspended_itself_takes_nobody_for_dead(tmp_path: Path) -> None:
    """A batch system suspends a whole job, and wakes it: nobody could beat meanwhile."""
    both = Pace(beat_s=1e3, lease_s=1e4, poll_s=0.05)
    one, other = (Claims(tmp_path, worker(n), both) for n in range(2))
    with one, other:
        assert one.take("trial-00001")
        assert not other.take("trial-00001")
        dated_back(one, 1e6)
        assert not other.take("trial-00001")
        other._beats += 5
        assert not other.take("trial-00001")
        other._beats += 5
        assert other.take("trial-00001")


def test_of_many_that_find_a_dead_worker_one_takes_over(tmp_path: Path) -> None:
    dead = joined(tmp_path, 0, process="1 0")
    with ExitStack() as stack:
        workers = [stack.enter_context(joined(tmp_path, n)) for n in range(1, 7)]
        dead._write(dead.me)
        assert dead._link("trial-00001", 0)
        assert sum(one.take("trial-00001") for one in workers) == 1


_DIES = """
import os, signal, sys
from pathlib import Path
from nas.workers.claims import Claims
from nas.workers.roster import Pace, Worker
with Claims(Path(sys.argv[1]), Worker.this_process(0, code="", now=0.0), Pace()) as one:
    assert one.take("trial-00001")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_of_this_machine_that_was_killed_is_dead_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(tmp_path)], check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL
    (dead,) = registered(tmp_path)
    assert dead.is_gone()
    with joined(tmp_path, 1) as other:
        assert other.take("trial-00001")


def test_a_claim_that_was_done_and_released_meanwhile_counts_as_lost(tmp_path: Path) -> None:
    with joined(tmp_path, 0) as one:
        one.take("trial-00001")
        (tmp_path / CLAIMS / "trial-00001.0").unlink()
        with pytest.raises(LostClaim, match="it is done"):
            one.check("trial-00001")


def test_what_a_worker_is_at_is_seen_by_others(tmp_path: Path) -> None:
    with joined(tmp_path, 3) as one:
        one.says(doing="trial-00007 probed")
        (seen,) = registered(tmp_path)
        assert (seen.number, seen.doing, seen.ended) == (3, "trial-00007 probed", None)
        assert len(list((tmp_path / WORKERS).iterdir())) == 1


def test_a_worker_that_shall_end_claims_nothing_more(tmp_path: Path) -> None:
    def ending() -> None:
        raise KeyboardInterrupt

    with Claims(tmp_path, worker(), QUICK, ending) as one:
        with pytest.raises(KeyboardInterrupt):
            one.take("trial-00001")
        with pytest.raises(KeyboardInterrupt):
            one.wait()
    assert claims(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"beat_s": 0}, "workers.beat_s is 0: it must be a positive number"),
        ({"poll_s": "soon"}, "workers.poll_s is soon"),
        ({"beat_s": 10, "lease_s": 20}, "at least 3 times workers.beat_s"),
    ],
)
def test_a_pace_that_takes_the_living_for_dead_is_refused(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Pace(**changed)
