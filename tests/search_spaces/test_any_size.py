"""A file of any size gives what a file that was written for that size gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from runtime.engines import compiled
from runtime.pictures import IO
from search_spaces.any_size import HoldsSize, any_size, is_any_size, of_size
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.modules import Network, load_weights
from search_spaces.onnx_writer import write
from search_spaces.primitives import ChannelShuffle, Conv, GlobalAveragePool, Multiply
from search_spaces.quantize import CPU_RULES
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.weights import random_weights

GRAPH = lower(reference("ecbsr_m4c16", 2))
SIZES = ((24, 40), (50, 34), (96, 128))


def ran(
    file: bytes, given: NDArray[np.float32], engine: str = "onnxruntime"
) -> NDArray[np.float32]:
    return compiled(engine, file, {"input": given.shape}, 1).run({"input": given})["output"]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("io", ["float_nchw", "uint8_nhwc"])
def test_at_every_size_it_is_the_file_that_was_written_for_it(precision: str, io: IO) -> None:
    rules = replace(CPU_RULES, io=io)
    own = untrained(GRAPH, precision=precision, height=32, width=48, rules=rules)
    free = any_size(own, GRAPH)
    onnx.checker.check_model(free, full_check=True)
    assert is_any_size(free) and not is_any_size(own)
    assert of_size(free, GRAPH, height=32, width=48) == own
    dice = np.random.default_rng(0)
    for height, width in SIZES:
        fixed = untrained(GRAPH, precision=precision, height=height, width=width, rules=rules)
        given = dice.integers(0, 256, (1, 3, height, width)).astype(np.float32) / 255
        assert np.array_equal(ran(free, given, "openvino"), ran(fixed, given, "openvino"))
        # ONNX Runtime takes other kernels where it does not know the sides beforehand.
        apart = np.abs(ran(free, given) - ran(fixed, given)).max()
        assert apart <= (1e-5 if io == "float_nchw" else 1.001 / 255)


def test_in_float_it_is_the_module_at_every_size() -> None:
    weights, module = random_weights(GRAPH, seed=2), Network(GRAPH)
    load_weights(module, weights)
    free = any_size(write(GRAPH, weights, height=32, width=48), GRAPH)
    dice = np.random.default_rng(1)
    for height, width in SIZES:
        given = dice.random((1, 3, height, width), np.float32)
        with torch.no_grad():
            expected = module.eval()(torch.from_numpy(given)).numpy()
        assert np.abs(ran(free, given) - expected).max() < 1e-4


def pooled() -> Graph:
    """A layer that sees the whole picture, of whatever size."""
    builder = GraphBuilder(3)
    body = builder.add(Conv, 0, out_channels=3, activation="relu")
    return builder.finish(builder.add(Multiply, body, builder.add(GlobalAveragePool, body)))


def test_a_pool_over_the_whole_picture_holds_no_size() -> None:
    free = any_size(untrained(pooled(), precision="fp32", height=8, width=8), pooled())
    assert ran(free, np.ones((1, 3, 20, 30), np.float32)).shape == (1, 3, 20, 30)


def test_a_layer_that_holds_the_size_is_named() -> None:
    builder = GraphBuilder(4)
    graph = builder.finish(builder.add(ChannelShuffle, 0, groups=2))
    with pytest.raises(HoldsSize, match="layer 1, a ChannelShuffle, holds the size"):
        any_size(untrained(graph, precision="fp32", height=8, width=8), graph)
