"""The report of a study: one HTML file that can be sent to somebody and read anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from nas.candidate import Candidate
from nas.confidence import Gain
from nas.evidence import MAIN, TRAINED
from nas.experiment import Plan
from nas.report.cards import card, measurement
from nas.report.course_plot import searched
from nas.report.crops import CropRow, data_uri
from nas.report.describe import compared, figure, milliseconds
from nas.report.funnel import Funnel
from nas.report.markup import bullets, cell, page, table
from nas.report.plots import front_plot, funnel_plot
from nas.report.summary import Row, Summary
from nas.report.tables import (
    SIMULATED,
    aims_of,
    cells_of,
    gained,
    latencies_of,
    latency_columns,
    sentence,
    signed_ends,
    took,
    under_limits,
)
from nas.report.work_plots import Curve, work_and_learning
from nas.report.worth import Worth
from nas.target import Target
from trainers.base import Metric

_NARROW = 360


@dataclass(frozen=True)
class Circumstances:
    """What a report tells beside the candidates' own evidence.

    Attributes:
        date: when the study ended, as it is to be printed.
        images: names of the validation images.
        notes: what the reader should know: skipped images, the engine that was picked.
        time_again: the command that times a winner again; `{folder}` stands for its bundle.
        elsewhere_again: those for its files on further targets, by name.
    """

    date: str
    images: Sequence[str] = ()
    notes: Sequence[str] = ()
    time_again: str = "nas bench {folder}"
    elsewhere_again: Mapping[str, str] = field(default_factory=dict)


def render(
    summary: Summary,
    funnel: Funnel,
    candidates: Sequence[Candidate],
    crops: Sequence[CropRow],
    *,
    plan: Plan,
    circumstances: Circumstances,
    worth: Worth | None = None,
    curves: Mapping[str, Curve] | None = None,
) -> str:
    """The report as HTML.

    Args:
        worth: what the search was worth; the report says nothing of it without.
        curves: losses of trainings by the candidate's name, to be drawn.
    """
    by_name = {c.name: c for c in candidates}
    winners = [by_name[row.name] for row in summary.winners]
    parts = [
        _headline(summary, funnel, plan, circumstances.date),
        _plot(candidates, summary),
        "<h2>The numbers</h2>" + _numbers(summary),
        _within(summary),
        _comparisons(summary),
        _funnel(funnel, candidates),
        "" if worth is None else searched(worth, summary.metric),
        work_and_learning(candidates, summary, curves or {}),
        _crops(crops),
        measurement(candidates, summary.target, circumstances.images, circumstances.notes),
    ]
    if winners:
        parts.append("<h2>The winners one by one</h2>")
    parts += [
        card(
            winner, row, summary, circumstances.time_again,
            elsewhere=circumstances.elsewhere_again,
        )
        for winner, row in zip(winners, summary.winners, strict=True)
    ]
    return page(f"{plan.name}: {_found(summary)}", "\n".join(parts))


def _found(summary: Summary) -> str:
    best = summary.best
    if best is None or best.metric is None:
        return f"no network within {milliseconds(summary.target.max_latency_ms)}"
    ms, without = milliseconds(best.latency_ms or 0.0), summary.baseline.label
    gain = best.gain or Gain(0.0)
    if gain.side == "level":
        return f"level with {without} in {ms}"
    amount = figure(summary.metric, abs(gain.mean))
    if gain.side == "worse":
        return f"the best network is {amount} worse than {without}"
    return f"{amount} better than {without} in {ms}"


def _headline(summary: Summary, funnel: Funnel, plan: Plan, date: str) -> str:
    best, found = summary.best, _found(summary)
    asked = f"Asked for: the best network that {_runs(summary.target)}"
    for name, target in summary.further.items():
        asked += f"; and that {_runs(target)} ({name})"
    asked += ". "
    timed = "looked up" if summary.simulated else "compiled untrained and timed"
    told = (
        f"{funnel.proposed} networks were {timed}; {funnel.too_slow} were "
        f"too slow and were never trained. {funnel.came(TRAINED)} were trained in full."
    )
    parts = [
        f'<p class="over">{escape(plan.name)} · {escape(date)}</p>',
        f"<h1>{escape(found[0].upper() + found[1:])}</h1>",
        f'<p class="lead">{escape(asked + told)}</p>',
    ]
    if summary.simulated:
        parts.append(f'<p class="warn">{escape(SIMULATED)}</p>')
    if summary.advice:
        parts.append(f'<section class="card"><h3 class="warn">What to do</h3>'
                     f"<p>{escape(summary.advice)}</p></section>")
    elif best is not None:
        parts.append(
            f"<p>The best one, <code>{escape(best.label)}</code>, reaches "
            f"{escape(figure(summary.metric, best.metric or 0.0))} in "
            f"{escape(took(best))} "
            f"({best.images_per_s or 0.0:.0f} images per second): "
            f"{escape(best.description)}. {escape(_how_sure(best, summary))}</p>"
        )
    return "\n".join(parts)


def _runs(target: Target) -> str:
    return (
        f"{target.engine} runs in {target.precision} on a {target.width}x{target.height} image "
        f"within {milliseconds(target.max_latency_ms)}, on {target.threads} "
        f"thread{'s' if target.threads > 1 else ''}"
    )


def _how_sure(best: Row, summary: Summary) -> str:
    """The headline's comparison once more, with its interval."""
    if best.gain is None:
        return ""
    words = compared(summary.metric, best.gain, other=summary.baseline.label)
    over = f", over {summary.judged_on}" if summary.judged_on else ""
    if best.outlook is None:
        return f"It is {words}{over}."
    return (
        f"It is {words}{over}, and the best by what a training of {summary.horizon:,} steps is "
        f"expected to make of it ({figure(summary.metric, best.outlook)})."
    )


def _plot(candidates: Sequence[Candidate], summary: Summary) -> str:
    if not any(c.quality is not None for c in candidates):
        return ""
    legend = (
        '<div class="legend"><span><i class="key w"></i>winners, quantized, on the file that '
        'ships</span><span><i class="key r"></i>published networks, trained and quantized alike'
        '</span><span><i class="key f"></i>trained in full</span><span><i class="key b"></i>'
        'trained briefly</span><span><i class="key s"></i>too slow, never trained</span></div>'
    )
    wide = front_plot(candidates, summary)
    narrow = front_plot(candidates, summary, width=360, height=380)
    return (
        f'<section class="card"><h3>Quality{_over(summary)} against latency</h3>'
        f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>{legend}</section>'
    )


def _over(summary: Summary) -> str:
    return f" over {summary.judged_on}" if summary.judged_on else ""


def _numbers(summary: Summary) -> str:
    # The width of the page holds so many columns.
    last = ["outlook"] if summary.horizon else ["images/s"]
    named = latency_columns(summary)
    numbers = [*named, summary.metric.name, "gain", *last, "params", "GMACs", "over fp32"]
    heads = [("network", ""), *((n, "n") for n in numbers), ("architecture", "")]
    rows = []
    every = (summary.baseline, *summary.winners, *summary.references)
    for row in every:
        cells = cells_of(row, summary.metric)
        css = {"winner": "name win", "reference": "name ref"}.get(row.kind, "name soft")
        shown = [cell(row.label, css)]
        each = [(row.ci_low_ms, row.ci_high_ms)]
        for name in summary.further:
            receipt = row.elsewhere.get(name)
            each.append((receipt.ci_low_ms, receipt.ci_high_ms) if receipt else (None, None))
        told_ms = latencies_of(row, summary)
        shown += [_latency(*ends, text) for ends, text in zip(each, told_ms, strict=True)]
        shown += [cell(cells[summary.metric.name], "n"), _gain(row.gain, summary.metric)]
        shown += [cell(cells[n], "n") for n in numbers[len(named) + 2 :]]
        doubt = f'<span class="ci warn">{escape(row.doubt)}</span>' if row.doubt else ""
        told = _step(row, summary.metric)
        step = f'<span class="ci">{escape(told)}</span>' if told else ""
        shown.append(f'<td class="what">{escape(row.description)}{step}{doubt}</td>')
        rows.append("".join(shown))
    note = (
        f"{summary.metric.name} is the mean{_over(summary)}. Gain is over "
        f"{summary.baseline.label}; level is what cannot be told apart. Under latencies and gains "
        "their 95 % intervals. “Over fp32” is the measured fp32 latency over that in "
        f"{summary.target.precision}."
    )
    if summary.further:
        note += f" {aims_of(summary)}: {summary.metric.name} and “over fp32” are those of {MAIN}."
    if summary.outlook_words:
        note += f" {summary.outlook_words[0].upper()}{summary.outlook_words[1:]}."
    if summary.unsure:
        note += f" {summary.unsure[0].upper()}{summary.unsure[1:]}."
    return (
        f'<section class="card">{table(heads, rows, networks=[row.name for row in every])}'
        f'<p class="soft small">{escape(note)}</p></section>'
    )


def _latency(low_ms: float | None, high_ms: float | None, text: str) -> str:
    if low_ms is None or high_ms is None:
        return cell(text, "n")
    low, high = milliseconds(low_ms).removesuffix(" ms"), milliseconds(high_ms)
    interval = f"{low} to {high.removesuffix(' ms')}"
    return f'<td class="n">{escape(text)}<span class="ci">{escape(interval)}</span></td>'


def _step(row: Row, metric: Metric) -> str:
    """A winner beside the next faster one, or the one that is ahead of it."""
    if row.behind:
        return f"no better than {row.behind}, which is as fast"
    return "" if row.step is None else compared(metric, row.step, other="the next faster winner")


def _gain(gain: Gain | None, metric: Metric) -> str:
    """A cell of a gain and, under it, its interval."""
    if gain is None:
        return cell("", "n")
    ends = ""
    if gain.low is not None:
        ends = f'<span class="ci">{escape(signed_ends(metric, gain))}</span>'
    return f'<td class="n">{escape(gained(metric, gain))}{ends}</td>'


def _within(summary: Summary) -> str:
    if not summary.within:
        return ""
    return f"<h2>The best under each limit</h2>{bullets(under_limits(summary))}"


def _comparisons(summary: Summary) -> str:
    if not summary.comparisons:
        return ""
    lines = [sentence(c, summary.metric) for c in summary.comparisons]
    sure = ""
    if any(c.advantage is not None and c.advantage.low is not None for c in summary.comparisons):
        sure = f" In brackets is the 95 % interval of the difference{escape(_over(summary))}."
    return (
        "<h2>Beside published networks</h2><p>For each one, the best winner that is not slower. "
        "All were trained with the same recipe and data, quantized, and timed in the same way."
        f"{sure}</p>"
        + bullets([f"Beside {line}." for line in lines])
    )


def _funnel(funnel: Funnel, candidates: Sequence[Candidate]) -> str:
    reasons = sorted(
        {f"{c.name}: {c.rejected.reason}" for c in candidates
         if c.rejected and c.rejected.constraint != "latency_ms"}
    )
    listed = ""
    if reasons:
        listed = (
            f"<details><summary>{len(reasons)} that failed for another reason than speed</summary>"
            f"{bullets(reasons)}</details>"
        )
    return (
        "<h2>How many came how far</h2>"
        f'<section class="card"><div class="wide">{funnel_plot(funnel)}</div>'
        f'<div class="narrow">{funnel_plot(funnel, width=_NARROW)}</div>'
        f'<p class="soft small">{funnel.too_slow} too slow, {funnel.failed} failed.</p>'
        f"{listed}</section>"
    )


def _crops(rows: Sequence[CropRow]) -> str:
    if not rows:
        return ""
    parts = [
        "<h2>What it looks like</h2><p>Pieces of validation images, where there is most detail "
        "and the methods differ most. Pull the line to compare two of them. The number is that of "
        "the whole image.</p>"
    ]
    for row in rows:
        shown = "".join(
            f'<figure style="width:{crop.pixels.shape[1]}px"><img src="{data_uri(crop.pixels)}" '
            f'width="{crop.pixels.shape[1]}" height="{crop.pixels.shape[0]}" '
            f'alt="{escape(row.picture)}, {escape(crop.name)}"><figcaption>'
            f"<b>{escape(crop.name)}</b>{escape(crop.caption)}</figcaption></figure>"
            for crop in row.crops
        )
        parts.append(f'<section class="card"><h3>{escape(row.picture)}</h3>'
                     f'<div class="crops">{shown}</div></section>')
    return "\n".join(parts)
