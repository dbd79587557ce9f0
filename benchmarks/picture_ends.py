"""What the two ends of a network cost: heads and ways for pictures to enter and leave, in int8.

    python benchmarks/picture_ends.py [--size 360x640] [--rounds 21] [--engine openvino]

Processor time of one inference on one thread, in ms: medians of rounds in which every file runs
once, so that what else the machine does meets all of them alike.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

import numpy as np

from latency_models.engines import pick_engine
from nas.networks import rules_for
from runtime.pictures import IO
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Scalar
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

ENDS: tuple[tuple[str, str], ...] = (
    ("add", "bicubic"), ("add", "nearest"), ("joined", "bicubic"), ("joined", "bilinear"),
    ("add", "none"),
)
WAYS: tuple[IO, ...] = ("float_nchw", "uint8_nchw", "uint8_nhwc")
BODIES = {
    "16 x 4": (16, 4, "none"), "24 x 2": (24, 2, "none"), "16 x 6": (16, 6, "none"),
    "32 x 2, reduced": (32, 2, "space_to_depth"), "32 x 4, reduced": (32, 4, "space_to_depth"),
    "48 x 6, reduced": (48, 6, "space_to_depth"),
}  # fmt: skip
"""Channels and layers behind the stem, and how the size is halved."""


def upscaler(body: tuple[int, int, str], head: str, base: str) -> Architecture:
    """A stem and equal 3x3 layers with ReLU."""
    channels, layers, reduction = body
    block = BlockSpec.of("conv", channels, kernel=3, activation="relu")
    blocks = (block, BlockSpec.of("conv", channels, layers, kernel=3, activation="relu"))
    args: dict[str, Scalar] = {"base": base, "reduction": reduction, "centre": head == "add"}
    if head != "add":
        args["head"] = head
    return Architecture("upscaler", one_to_one(3, 3, 2), blocks, tuple(sorted(args.items())))


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="360x640", help="height x width of the input")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--engine", default="openvino")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    engine = pick_engine(options.engine)[0]
    networks = {
        (name, f"{head}, {base}"): upscaler(body, head, base)
        for name, body in BODIES.items()
        for head, base in ENDS
    }
    networks["ecbsr_m4c16", "its own"] = reference("ecbsr_m4c16", 2)
    with ExitStack() as stack:
        compiled = {}
        for key, architecture in networks.items():
            for io in WAYS:
                file = untrained(
                    lower(architecture), precision="int8", height=height, width=width,
                    rules=rules_for(options.engine, io),
                )  # fmt: skip
                compiled[*key, io] = stack.enter_context(engine.compile(file, "int8"))
        times: dict[tuple[str, ...], list[float]] = {key: [] for key in compiled}
        for _ in range(options.rounds + 1):
            for key, model in compiled.items():
                times[key].append(model.timed_runs(1)[0].cpu_ms)
    print(f"| body | head, base | {' | '.join(WAYS)} | first / last |")
    print("|---|---|---|---|---|---|")
    for body, ends in networks:
        found = [float(np.median(times[body, ends, io][1:])) for io in WAYS]
        told = " | ".join(f"{ms:.1f}" for ms in found)
        print(f"| {body} | {ends} | {told} | {found[0] / found[-1]:.2f} |")


if __name__ == "__main__":
    main()
