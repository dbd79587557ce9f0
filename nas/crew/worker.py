"""One of many workers of a study: it ends at safe points, and lets its candidate go when it does.

A safe point is between two stages, and inside a training whenever it tells its progress: there
the checkpoint is written first, so whoever takes the candidate next goes on at this very step.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType, TracebackType

from nas.candidate import Candidate
from nas.crew.claims import Claims
from nas.crew.roster import Pace, Worker
from nas.live.view import Unwatched, View
from trainers.base import Interrupted

ENDING = (signal.SIGTERM, signal.SIGUSR2)
_KILLED_AT_THE_LATEST_S = 600.0
_LOOK_S = 0.5
_QUEUED_AGAIN_S = (2.0, 5.0, 15.0)
"""How long to wait after each time that a batch system did not queue the job again."""
Handler = Callable[[int, FrameType | None], object]


class Ending:
    """Turns the signals that end a worker into `Interrupted` at its next safe point.

    SIGUSR2 is what a batch system sends before preemption or the time limit, and SIGTERM what
    ends a process anywhere. When no safe point comes within the grace, or on a second SIGTERM,
    the work is broken off where it is: the evidence and the last checkpoint hold even then.

    Attributes:
        received: the signal, or None.
    """

    def __init__(self, grace_s: float) -> None:
        self.received: signal.Signals | None = None
        self._grace_s = grace_s
        self._before: dict[int, object] = {}

    def __enter__(self) -> Ending:
        for number in ENDING:
            self._before[number] = signal.signal(number, self._note)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._break_off)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def safe_point(self) -> None:
        """Where a worker may end.

        Raises:
            Interrupted: a signal has come.
        """
        if self.received is not None:
            raise Interrupted(f"{self.received.name} received")

    def hand_over(self) -> None:
        """Leave the rest to whoever started this process, after everything was let go.

        After SIGUSR2 that is the launcher's own handler, which queues the job again and ends the
        process. SIGTERM comes from the batch system itself: it decides whether the job runs
        again, but only if it may kill it, so the process stays until then.
        """
        before = self._before.get(self.received or 0)
        if self.received == signal.SIGUSR2 and callable(before):
            for pause_s in _QUEUED_AGAIN_S:
                try:
                    before(self.received, None)
                    break
                except subprocess.SubprocessError:
                    # A busy batch system refuses at times; nobody else would queue the job again.
                    time.sleep(pause_s)
            else:
                before(self.received, None)
        if self.received == signal.SIGTERM and "SLURM_JOB_ID" in os.environ:
            until = time.monotonic() + _KILLED_AT_THE_LATEST_S
            asked_to_requeue = self._before.get(signal.SIGUSR2)
            if callable(asked_to_requeue):
                signal.signal(signal.SIGUSR2, asked_to_requeue)
            while time.monotonic() < until:
                time.sleep(_LOOK_S)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and self.received == signal.SIGTERM:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt


class Attended:
    """A view whose calls are safe points, and tell the others what this worker is at."""

    def __init__(
        self,
        inner: AbstractContextManager[View],
        claims: Claims,
        safe_point: Callable[[], None],
    ) -> None:
        self._entered, self._claims, self._safe_point = inner, claims, safe_point
        self._inner: View = Unwatched()

    def __enter__(self) -> View:
        self._inner = self._entered.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.__exit__(kind, error, trace)

    def note(self, line: str) -> None:
        """Pass it on."""
        self._inner.note(line)

    def started(self, candidate: Candidate, stage: str) -> None:
        """Pass it on; between two stages a worker may end."""
        self._safe_point()
        self._claims.says(doing=f"{candidate.name} {stage}")
        self._inner.started(candidate, stage)

    def step(self, done: int, total: int, loss: float) -> None:
        """Pass it on; a training may end here."""
        self._safe_point()
        self._inner.step(done, total, loss)

    def judged(self, step: int, metric: float) -> None:
        """Pass it on."""
        self._inner.judged(step, metric)

    def tick(self) -> None:
        """Pass it on."""
        self._inner.tick()

    def finished(self, candidate: Candidate, stage: str, *, again: bool = False) -> None:
        """Pass it on."""
        self._inner.finished(candidate, stage, again=again)


@contextmanager
def at_work(folder: Path, me: Worker, pace: Pace) -> Iterator[tuple[Claims, Ending]]:
    """Join the study: signals and heartbeat; on the way out every claim is released."""
    with Ending(pace.grace_s) as ending:
        with Claims(folder, me, pace, ending.safe_point) as claims:
            yield claims, ending
