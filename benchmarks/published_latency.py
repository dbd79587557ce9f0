"""Latency of all published networks, fp32 and int8, in one interleaved run.

    python benchmarks/published_latency.py [--rounds 3] [--only espcn xlsr] [--into docs]

Every round times every network at both precisions, in an order of its own, so that slow minutes
of the machine fall on all alike; the figure is the median over the rounds. Upscalers enlarge
360x640 by 2, the others take their usual input; one thread, untrained weights. A run may be
stopped at any time: what was measured is in `--rounds-file`, and the next run goes on from there.
Writes `published_latency.csv` and `published_latency.svg`.
"""

from __future__ import annotations

import argparse
import csv
import functools
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from published_plot import Point, plot

from latency_models.base import PRECISIONS, CompileError, DeviceError, Precision
from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from nas.networks import GraphNetwork, resolve
from search_spaces.references import REFERENCES
from search_spaces.work import gmacs, params_of

TIMED: tuple[Precision, ...] = ("fp32", "int8")
_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Timing:
    """One network, once."""

    round: int
    network: str
    precision: str
    median_ms: float
    ci_low_ms: float
    ci_high_ms: float
    verdict: str
    drift: float
    engine: str
    device: str


def read_timings(path: Path) -> list[Timing]:
    """What earlier runs have measured."""
    if not path.is_file():
        return []
    kinds = {"round": int, "median_ms": float, "ci_low_ms": float, "ci_high_ms": float}
    kinds |= {"drift": float}
    with path.open() as file:
        return [
            Timing(**{key: kinds.get(key, str)(value) for key, value in line.items()})
            for line in csv.DictReader(file)
        ]


def append(path: Path, timing: Timing) -> None:
    """Keep one timing; a file in the making has its header first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.is_file()
    with path.open("a") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Timing)], lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow(asdict(timing))


def network_of(name: str) -> GraphNetwork:
    """The published network, in the form in which it is timed."""
    found = resolve(name)
    assert isinstance(found, GraphNetwork)
    return found


def measure(names: Sequence[str], rounds: int, engine_name: str, path: Path) -> None:
    """Take the rounds that are missing."""
    engine, _ = pick_engine(engine_name, threads=1)
    done = {(t.round, t.network, t.precision) for t in read_timings(path)}
    model = functools.partial(MeasuredLatency, engine)
    with IsolatedLatency(model, timeout_s=_TIMEOUT_S) as latency:
        for number in range(1, rounds + 1):
            turns = [(name, precision) for name in names for precision in TIMED]
            random.Random(number).shuffle(turns)
            for name, precision in turns:
                if (number, name, precision) in done:
                    continue
                network = network_of(name)
                file = network.file(replace(network.own, precision=precision), engine.name)
                try:
                    report = latency.measure(file, precision)
                except (CompileError, DeviceError) as error:
                    print(f"round {number} {name} {precision}: {error}", file=sys.stderr)
                    continue
                timing = Timing(
                    number, name, precision, report.median_ms, report.ci_low_ms,
                    report.ci_high_ms, report.verdict, report.drift,
                    f"{report.engine} {report.engine_version}", report.device,
                )
                append(path, timing)
                print(
                    f"round {number} of {rounds}  {name:18} {precision:5} "
                    f"{report.median_ms:10.3f} ms  {report.verdict}",
                    flush=True,
                )


@dataclass(frozen=True)
class Row:
    """One network, over all rounds; milliseconds by precision, and half their spread."""

    network: str
    job: str
    scale: int
    input: str
    params: int
    gmacs: float
    ms: Mapping[Precision, float]
    spread: Mapping[Precision, float]

    def cells(self) -> dict[str, str | int]:
        """The line of the table."""
        found: dict[str, str | int] = {
            "network": self.network, "job": self.job, "scale": self.scale, "input": self.input,
            "params": self.params, "gmacs": f"{self.gmacs:.4g}",
        }
        for precision in TIMED:
            found[f"{precision}_ms"] = f"{self.ms[precision]:.4g}"
            found[f"{precision}_spread"] = f"{self.spread[precision]:.3f}"
            found[f"{precision}_gmacs_per_s"] = f"{self.gmacs / self.ms[precision] * 1e3:.4g}"
        found["int8_gain"] = f"{self.ms['fp32'] / self.ms['int8']:.3g}"
        return found


def rows(timings: Sequence[Timing]) -> list[Row]:
    """Every network that has been timed at both precisions, by its work."""
    found = []
    for name in dict.fromkeys(t.network for t in timings):
        values = {
            p: [t.median_ms for t in timings if (t.network, t.precision) == (name, p)]
            for p in TIMED
        }
        if not all(values.values()):
            continue
        network, entry = network_of(name), REFERENCES[name]
        ms = {p: float(np.median(v)) for p, v in values.items()}
        spread = {p: (max(v) - min(v)) / 2 / ms[p] for p, v in values.items()}
        work = gmacs(network.graph, network.own.size[0], network.own.size[1])
        found.append(Row(
            name, entry.job, entry.nearest_scale(2), network.own.shape, params_of(network.graph),
            work, ms, spread,
        ))
    return sorted(found, key=lambda row: row.gmacs)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: the correlation of the ranks."""
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def write(table: Sequence[Row], timings: Sequence[Timing], into: Path) -> None:
    """The table, the plot, and what they come to."""
    with (into / "published_latency.csv").open("w") as file:
        writer = csv.DictWriter(file, list(table[0].cells()), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.cells() for row in table)
    upscalers = [row for row in table if row.job == "super_resolution"]
    sentences = []
    for precision in TIMED:
        work, ms = [r.gmacs for r in upscalers], [r.ms[precision] for r in upscalers]
        if len(upscalers) > 2:
            sentences.append(f"{precision} {rank_correlation(work, ms):.3f}")
    rounds = max(t.round for t in timings)
    words = f"{timings[-1].engine}, 1 thread, {timings[-1].device}, {rounds} round"
    words += "s" * (rounds > 1)
    points = [Point(r.network, r.gmacs, r.ms["fp32"], r.ms["int8"], r.job) for r in table]
    (into / "published_latency.svg").write_text(plot(points, subtitle=words))
    good = sum(t.verdict == "ok" for t in timings)
    print(f"{len(table)} networks; {good} of {len(timings)} timings are ok; {words}")
    if sentences:
        print(f"rank correlation of GMACs and ms over {len(upscalers)} upscalers: "
              + ", ".join(sentences))


def main() -> int:
    """Measure what is missing, then write."""
    assert set(TIMED) <= set(PRECISIONS)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=sorted(REFERENCES), metavar="NETWORK")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--into", type=Path, default=Path("docs"), help="folder of the results")
    parser.add_argument(
        "--rounds-file", type=Path, default=Path("runs/published_latency_rounds.csv")
    )
    options = parser.parse_args()
    measure(options.only or list(REFERENCES), options.rounds, options.engine, options.rounds_file)
    timings = read_timings(options.rounds_file)
    table = rows(timings)
    if not table:
        print("nothing was measured at both precisions", file=sys.stderr)
        return 1
    write(table, timings, options.into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
