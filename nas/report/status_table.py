"""A study's status on the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.crew.status import Seen, Status
from nas.report.describe import describe, duration, figure, milliseconds, pictures

_STYLES = {"working": "green", "silent": "yellow", "killed": "red", "ended": "dim"}
_FAILURES_SHOWN = 5
_FORMER_SHOWN = 8


def print_status(console: Console, status: Status) -> None:
    """Workers, what was left behind, funnel, front and failures."""
    limit = milliseconds(status.limit_ms)
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
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for name in ("worker", "host", "job", "state", "heartbeat", "at"):
        table.add_column(name, no_wrap=name != "at", overflow="fold")
    for one in status.workers:
        if one not in hidden:
            table.add_row(*_cells(one))
    console.print(table)
    if hidden:
        console.print(Text(f"and {len(hidden)} that ended earlier", "dim"))


def _cells(one: Seen) -> tuple[str | Text, ...]:
    worker = one.worker
    at = worker.ended if worker.ended is not None else worker.doing
    return (
        str(worker.number), worker.host, worker.job or "-",
        Text(one.state, _STYLES[one.state]), f"{duration(one.beat_s)} ago", at,
    )


def _funnel(status: Status) -> Text:
    counts = status.funnel
    return Text(
        f"{counts.proposed} of {status.planned} timed, {counts.too_slow} too slow, "
        f"{counts.failed} failed, {counts.probed} trained briefly, {counts.trained} in full, "
        f"{counts.quantized} quantized, {counts.winners} winners"
    )


def _print_front(console: Console, status: Status) -> None:
    if not status.front:
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    table.add_column("front", no_wrap=True)
    table.add_column("latency", justify="right", no_wrap=True)
    table.add_column(status.metric.name, justify="right", no_wrap=True)
    over = pictures(candidate.pictures for candidate in status.front)
    table.add_column(
        f"architecture ({status.metric.name} over {over})" if over else "architecture",
        overflow="ellipsis", no_wrap=True,
    )
    for candidate in status.front:
        table.add_row(
            candidate.name,
            milliseconds(candidate.latency_ms),
            figure(status.metric, candidate.quality or 0.0),
            describe(candidate.architecture),
        )
    console.print(table)
