"""A study's status on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from nas.evidence import MAIN
from nas.report.columns import fitted
from nas.report.describe import (
    describe,
    duration,
    figure,
    latency_cells,
    milliseconds,
    pictures,
)
from nas.stages import corridor
from nas.workers.status import Seen, Status

_STYLES = {"working": "green", "silent": "yellow", "killed": "red", "ended": "dim"}
_WORKER = ("worker", "host", "job", "state", "heartbeat", "at")
_FAILURES_SHOWN = 5
_FORMER_SHOWN = 8


def print_status(console: Console, status: Status) -> None:
    """Workers, what was left behind, funnel, front and failures."""
    limit = milliseconds(status.limit_ms)
    if status.further_ms:
        limit += f" on {MAIN}"
        limit += "".join(f", {milliseconds(ms)} on {n}" for n, ms in status.further_ms.items())
    console.print(Text.assemble((status.name, "bold"), f"  at most {limit}  {status.folder}"))
    _print_workers(console, status)
    for what in status.left:
        console.print(Text(f"{what} was left by a worker that is no more: open to all", "yellow"))
    console.print(_funnel(status))
    _print_front(console, status)
    for reason, count in status.failures[:_FAILURES_SHOWN]:
        console.print(Text(f"{count} refused  {reason}", "red"))
    if len(status.failures) > _FAILURES_SHOWN:
        console.print(Text(f"and {len(status.failures) - _FAILURES_SHOWN} other reasons", "red"))
    if status.report:
        console.print(Text(f"complete; report: {status.report}"), soft_wrap=True)


def _print_workers(console: Console, status: Status) -> None:
    if not status.workers:
        return
    ended = [one for one in status.workers if one.state == "ended"]
    hidden = ended[:-_FORMER_SHOWN]
    table, _ = fitted(
        [_cells(one) for one in status.workers if one not in hidden],
        width=console.width, spare=("job", "host", "heartbeat"), left=_WORKER, wordy="at",
    )
    console.print(table)
    if hidden:
        console.print(Text(f"and {len(hidden)} that ended earlier", "dim"))


def _cells(one: Seen) -> dict[str, str | Text]:
    worker = one.worker
    at = worker.ended if worker.ended is not None else worker.doing
    cells = (
        str(worker.number), worker.host, worker.job or "-",
        Text(one.state, _STYLES[one.state]), f"{duration(one.beat_s)} ago", at,
    )
    return dict(zip(_WORKER, cells, strict=True))


def _funnel(status: Status) -> Text:
    return Text(status.funnel.described(corridor(compiles=status.compiles), of=status.planned))


def _print_front(console: Console, status: Status) -> None:
    if not status.front:
        return
    over, name = pictures(c.pictures for c in status.front), status.metric.name
    wordy = f"architecture ({name} over {over})" if over else "architecture"
    lines = [
        {
            "front": candidate.name,
            **latency_cells(candidate),
            name: figure(status.metric, candidate.quality or 0.0),
            wordy: describe(candidate.architecture),
        }
        for candidate in status.front
    ]
    table, _ = fitted(lines, width=console.width, spare=(wordy,), left=("front",), wordy=wordy)
    console.print(table)
