"""Pictures, and networks whose quantizers have seen them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from networks import HEIGHT, WIDTH
from numpy.typing import NDArray
from torch import Tensor, nn

from latency_models.int8_support import largest_weight
from search_spaces.fake_quantize import QuantizedNetwork, prepare
from search_spaces.graph import Graph, channels_of
from search_spaces.modules import Network, load_weights
from search_spaces.quantize import CPU_RULES, ONNXRUNTIME_RULES, QuantRules
from search_spaces.tensor_quantizer import TensorQuantizer
from search_spaces.weights import random_weights

OPENVINO_RULES = replace(CPU_RULES, weight_max=largest_weight("openvino"))
ORT_RULES = replace(ONNXRUNTIME_RULES, weight_max=largest_weight("onnxruntime"))
Image = NDArray[np.float32]


def pictures(count: int = 4, *, of: Graph | None = None, seed: int = 0) -> Tensor:
    """(count, C, HEIGHT, WIDTH): smooth colours of eight bits in [0, 1], C as this graph's."""
    channels = 3 if of is None else channels_of(of.nodes)[0]
    coarse = torch.rand(count, channels, 4, 6, generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic")
    return (smooth.clamp(0, 1) * 255).round() / 255


@cache
def lively(graph: Graph, *, seed: int = 0) -> Network:
    """The network with large random weights: at its own start its learned part is near silent.

    One for all tests: leave it as it is.
    """
    network = Network(graph)
    load_weights(network, random_weights(graph, seed=seed))
    return network.eval()


@cache
def calibrated(
    graph: Graph,
    *,
    weight_max: int | None = None,
    seed: int = 0,
    rules: QuantRules = OPENVINO_RULES,
) -> QuantizedNetwork:
    """The fake-quantized lively network, its scales set from the pictures; one for all tests."""
    if weight_max is not None:
        rules = replace(rules, weight_max=weight_max)
    network = prepare(lively(graph, seed=seed), rules).eval()
    quantizers = [part for part in network.modules() if isinstance(part, TensorQuantizer)]
    with torch.no_grad():
        for quantizer in quantizers:
            quantizer.start_calibration()
        network(pictures(of=graph))
        for quantizer in quantizers:
            quantizer.finish_calibration()
    return network


def outputs(network: nn.Module, image: Tensor) -> Image:
    """What a module gives for a batch, as an array."""
    with torch.no_grad():
        result: Image = network(image).numpy()
    return result
