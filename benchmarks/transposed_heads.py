"""Which is faster, a transposed convolution or a convolution with a pixel shuffle?

    python benchmarks/transposed_heads.py [--engine openvino] [--size 180x320] [--seconds 3]

Milliseconds of a 3x3 layer and the head after it, untrained, each form by the full protocol. Up
to seven outputs both readings of a Graph take the second form (`search_spaces/transposed.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from latency_models.base import Precision
from latency_models.engines import pick_engine
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from nas.networks import rules_for
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.untrained import untrained

HEADS = [
    (56, 1, 9, 2), (56, 1, 9, 3), (56, 3, 9, 2), (32, 3, 4, 2), (32, 3, 2, 2), (32, 7, 4, 2),
    (32, 8, 4, 2), (32, 16, 4, 2), (32, 32, 4, 2),
]  # fmt: skip
"""Inputs, outputs, kernel, stride."""
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def head(inputs: int, outputs: int, kernel: int, stride: int) -> Graph:
    """One convolution that gives `inputs` channels, and the head that reads them."""
    builder = GraphBuilder(1)
    features = builder.add(
        Conv, 0, out_channels=inputs, kernel=(3, 3), activation="prelu", bias=True
    )
    fields = {"out_channels": outputs, "kernel": (kernel, kernel), "stride": stride, "bias": True}
    return builder.finish(builder.add(ConvTranspose, features, **fields))


@contextmanager
def form(*, convolution: bool) -> Iterator[None]:
    """Write every transposed convolution in one form, whatever its width."""
    with patch("search_spaces.onnx_writer.runs_as_convolution", lambda node: convolution):
        yield


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--size", default="180x320", help="height x width of the input")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    protocol = MeasuringProtocol(budget_s=options.seconds)
    latency = MeasuredLatency(pick_engine(options.engine)[0], protocol)
    print("| inputs | outputs | kernel | stride | precision | transposed | shuffled | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for which in HEADS:
        for precision in PRECISIONS:
            times_ms = []
            for convolution in (False, True):
                with form(convolution=convolution):
                    file = untrained(
                        head(*which), precision=precision, height=height, width=width,
                        rules=rules_for(options.engine),
                    )  # fmt: skip
                times_ms.append(latency.measure(file, precision).median_ms)
            ratio = times_ms[1] / times_ms[0]
            cells = [*map(str, which), precision, *(f"{t:.1f} ms" for t in times_ms)]
            print("| " + " | ".join([*cells, f"{ratio:.2f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
