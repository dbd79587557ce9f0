"""Untrained against trained weights: latency must not depend on them.

Trained is what a few steps of learning to enlarge noise leave of other random weights. The
untrained file, the same one compiled once more, and the trained one run in turns in one process;
figures are medians of the rounds' ratios with 95 % intervals.
"""

from __future__ import annotations

import torch
from latency_untrained import ratios

from gpu_parts.base import Form, Pace, Row, Tell, left_out, named
from gpu_parts.timing import graph_of, here, inductor, unmeasured
from latency_models.base import CompileError, DeviceError, Engine, Precision
from search_spaces.graph import Graph, channels_of
from search_spaces.modules import Network, load_weights, weights_of
from search_spaces.onnx_writer import write
from search_spaces.primitives import Conv
from search_spaces.quantize import CPU_RULES, float_rest
from search_spaces.untrained import untrained
from search_spaces.weights import Weights, random_weights

PART = "trained"
_STEPS, _BATCH, _CROP = 40, 4, 24


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """Tell the ratio of trained to untrained for each network."""
    engine = inductor(form)
    here(engine)
    turns = [(name, precision) for name in form.few for precision in form.precisions]
    names = [named(name, precision, form.sizes[0]) for name, precision in turns]
    for index, (name, precision) in enumerate(turns):
        if not pace.allows():
            tell(left_out(PART, names[index:]))
            return
        with pace.turn():
            tell(_row(name, precision, engine, form, pace))


def _row(
    name: str, precision: Precision, engine: Engine, form: Form, pace: Pace
) -> Row:
    graph = graph_of(name)
    height, width = form.sizes[0]
    what = named(name, precision, form.sizes[0])
    before = untrained(graph, precision=precision, height=height, width=width)
    after = trained(graph, precision, form)
    try:
        ms, again, learned = ratios(engine, before, after, precision, form.measure_s)
    except (CompileError, DeviceError) as error:
        return unmeasured(PART, what, error, pace)
    verdict = "DIFFER" if learned.differs else "agree"
    words = f"{verdict}: trained over untrained {learned}, the same file again {again}"
    facts = {
        "untrained_ms": ms,
        "trained": [learned.low, learned.middle, learned.high],
        "same_again": [again.low, again.middle, again.high],
    }
    return Row(PART, what, "measured", learned.middle, "times", words, facts)


def _either_sign(graph: Graph, weights: Weights) -> Weights:
    """Take each filter's mean out, as the untrained file has it.

    Features are then of either sign, as trained networks have them. Kernels for processors that
    branch on the sign are faster on features of one sign (inductor's of a PReLU network: by 30 %).
    """
    found = dict(weights)
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Conv) and not node.fixed:
            weight = found[f"n{index}.weight"]
            if weight[0].size > 1:
                weight = weight - weight.mean(axis=(1, 2, 3), keepdims=True)
            found[f"n{index}.weight"] = weight
    return found


def trained(graph: Graph, precision: Precision, form: Form) -> bytes:
    """The network's file after a few steps from a seed of its own."""
    network = Network(graph)
    load_weights(network, _either_sign(graph, random_weights(graph, seed=1)))
    network.to(form.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    random = torch.Generator().manual_seed(1)
    shape = (_BATCH, channels_of(graph.nodes)[0], _CROP, _CROP)
    for _ in range(_STEPS):
        inputs = torch.rand(shape, generator=random).to(form.device)
        outputs = network(inputs)
        targets = torch.nn.functional.interpolate(inputs, outputs.shape[2:], mode="bicubic")
        optimizer.zero_grad()
        (outputs - targets).abs().mean().backward()
        optimizer.step()
    height, width = form.sizes[0]
    return write(
        graph, weights_of(network.eval()), height=height, width=width,
        float_type=float_rest(precision, CPU_RULES),
    )  # fmt: skip
