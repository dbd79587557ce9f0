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
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import cast

from nas.workers.claims import Claims
from nas.workers.roster import Pace, Worker
from trainers.base import Interrupted

ENDING = (signal.SIGTERM, signal.SIGUSR2)
_KILLED_AT_THE_LATEST_S = 600.0
_LOOK_S = 0.5
_ENDED_AT_THE_LATEST_S, _BATCH_SCRIPT_ENDS_S = 60.0, 2.0
"""How long a run that was queued again waits to be told to end, and then for its batch script."""
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
        queue_again = self._before.get(signal.SIGUSR2)
        if self.received == signal.SIGUSR2 and callable(queue_again):
            self._queue_again(cast(Handler, queue_again))
        if self.received == signal.SIGTERM and "SLURM_JOB_ID" in os.environ:
            until = time.monotonic() + _KILLED_AT_THE_LATEST_S
            if callable(queue_again):
                signal.signal(signal.SIGUSR2, cast(Handler, queue_again))
            while time.monotonic() < until:
                time.sleep(_LOOK_S)

    def _queue_again(self, handler: Handler) -> None:
        """Let the launcher queue the job again, and stay until the batch system ends this run.

        A run that ends by itself at that moment races with the order to end it, and Slurm (22.05)
        may take its exit code for that of the new run, which then counts as failed.
        """
        told_to_end: list[int] = []
        if "SLURM_JOB_ID" in os.environ:
            signal.signal(signal.SIGTERM, lambda number, frame: told_to_end.append(number))
        try:
            for pause_s in _QUEUED_AGAIN_S:
                try:
                    handler(signal.SIGUSR2, None)
                    return
                except subprocess.SubprocessError:
                    # A busy batch system refuses at times; nobody else would queue the job again.
                    time.sleep(pause_s)
            handler(signal.SIGUSR2, None)
        except SystemExit:
            until = time.monotonic() + _ENDED_AT_THE_LATEST_S
            while "SLURM_JOB_ID" in os.environ and time.monotonic() < until:
                time.sleep(_LOOK_S)
                if told_to_end:
                    until = min(until, time.monotonic() + _BATCH_SCRIPT_ENDS_S)
                    told_to_end.clear()
            raise

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and self.received == signal.SIGTERM:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt


@contextmanager
def at_work(folder: Path, me: Worker, pace: Pace) -> Iterator[tuple[Claims, Ending]]:
    """Join the study: signals and heartbeat; on the way out every claim is released."""
    with Ending(pace.grace_s) as ending:
        with Claims(folder, me, pace, ending.safe_point) as claims:
            yield claims, ending
