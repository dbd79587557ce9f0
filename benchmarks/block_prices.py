"""What one block of each kind costs beside a dense 3x3 convolution of the same width.

    python benchmarks/block_prices.py [--sizes 360x640,180x320] [--seconds 8] [--engine openvino]

A block is the half of what two more of them add to a network with the same ends, in processor
time of one inference on one thread. All networks of one size, width and precision run in turns,
once in each round, so that what else the machine does meets all of them alike; the figure is the
median over rounds. Of a quick network a turn's first run does not count: it finds the cache full
of others' tensors, which costs more than a small block does. Blocks have a kernel of 3,
`large_kernel` the 7 that it is made for.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from time import perf_counter
from typing import NamedTuple

import numpy as np

from latency_models.base import CompiledModel, Engine, Precision
from latency_models.engines import pick_engine
from nas.networks import rules_for
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Scalar
from search_spaces.blocks import BLOCKS
from search_spaces.graph import Graph
from search_spaces.quantize import QuantRules
from search_spaces.reach import margin_of
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.work import gmacs

MORE = 2
"""Blocks by which the longer of two networks is longer."""
ROUNDS = (4, 15)
"""At least and at most, whatever the time."""
LONG_MS, TURN_MS, MOST_RUNS = 100.0, 80.0, 5
"""A run of LONG_MS is a whole turn; quicker networks run again for TURN_MS or MOST_RUNS times."""
DENSE = "conv"
PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")
KERNELS = {"large_kernel": 7}
KINDS: dict[str, tuple[str, dict[str, Scalar]]] = {op: (op, {}) for op in BLOCKS} | {
    "two_scale, depth_to_space": ("two_scale", {"growth": "depth_to_space"}),
}
"""Blocks and their choices, where those are not their first ones."""


class Case(NamedTuple):
    """What the networks that run in turns have in common."""

    height: int
    width: int
    channels: int
    precision: Precision


class Price(NamedTuple):
    """One block: its time in ms, its work in GMAC, and the pixels that it sees to each side."""

    ms: float
    gmac: float
    reach: int | None


def network(kind: str, channels: int, repeat: int) -> Graph:
    """A stem, `repeat` of the block, and a head over an enlarged picture."""
    op, choices = KINDS[kind]
    args = {"kernel": KERNELS.get(op, 3), "activation": "relu", **choices}
    stem = BlockSpec.of("conv", channels, activation="relu")
    blocks = (stem, BlockSpec.of(op, channels, repeat, **args))
    return lower(Architecture("upscaler", one_to_one(3, 3, 2), blocks, (("base", "nearest"),)))


def one_block(kind: str, case: Case, ms: float) -> Price:
    """The price with what is counted of it."""
    short, long = (network(kind, case.channels, repeat) for repeat in (1, 1 + MORE))
    work = [gmacs(graph, case.height, case.width) for graph in (short, long)]
    near, far = margin_of(short), margin_of(long)
    reach = None if near is None or far is None else (far - near) // MORE
    return Price(ms, (work[1] - work[0]) / MORE, reach)


def turn_ms(model: CompiledModel) -> float:
    """Processor time of one inference, in one turn of the network."""
    first = model.timed_runs(1)[0].cpu_ms
    if first >= LONG_MS:
        return first
    runs = model.timed_runs(min(MOST_RUNS, 1 + int(TURN_MS / first)))
    return float(np.median([run.cpu_ms for run in runs]))


def priced(
    engine: Engine, rules: QuantRules, case: Case, kinds: list[str], *, seconds: float
) -> dict[str, Price]:
    """Every kind of block at one size, width and precision."""
    with ExitStack() as stack:
        pairs: dict[str, list[CompiledModel]] = {}
        for kind in kinds:
            files = [
                untrained(
                    network(kind, case.channels, repeat), precision=case.precision,
                    height=case.height, width=case.width, rules=rules,
                ) for repeat in (1, 1 + MORE)
            ]  # fmt: skip
            pairs[kind] = [
                stack.enter_context(engine.compile(file, case.precision)) for file in files
            ]
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        began, (least, most) = perf_counter(), ROUNDS
        for done in range(most):
            if done >= least and perf_counter() - began > seconds:
                break
            for kind, pair in pairs.items():
                short, long = map(turn_ms, pair)
                found[kind].append((long - short) / MORE)
    return {kind: one_block(kind, case, float(np.median(ms))) for kind, ms in found.items()}


def table(prices: dict[int, dict[str, Price]]) -> None:
    """Print one size and precision: ms, share of a dense 3x3, GMAC/s, by width."""
    print(f"| block | reach | {' | '.join(f'{channels} channels' for channels in prices)} |")
    print(f"|---|---|{'---|' * len(prices)}")
    for kind, first in next(iter(prices.values())).items():
        cells = []
        for found in prices.values():
            price = found[kind]
            share = price.ms / found[DENSE].ms
            cells.append(f"{price.ms:.2f} ms, x{share:.2f}, {price.gmac / price.ms * 1e3:.0f}")
        print(f"| `{kind}` | {first.reach} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print tables in Markdown, one for each size and precision."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="360x640,180x320", help="height x width of the input")
    parser.add_argument("--channels", default="16,24,32,48,64")
    parser.add_argument("--seconds", type=float, default=8.0, help="of rounds, for each width")
    parser.add_argument("--engine", default="openvino")
    options = parser.parse_args()
    engine, rules = pick_engine(options.engine)[0], rules_for(options.engine)
    kinds = list(KINDS)
    for size in options.sizes.split(","):
        height, width = map(int, size.split("x"))
        for precision in PRECISIONS:
            prices = {}
            for channels in map(int, options.channels.split(",")):
                case = Case(height, width, channels, precision)
                prices[channels] = priced(engine, rules, case, kinds, seconds=options.seconds)
            print(f"\n{size}, {precision}: ms of one block, times a dense 3x3, GMAC/s\n")
            table(prices)


if __name__ == "__main__":
    main()
