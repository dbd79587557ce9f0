"""Pictures, and networks whose quantizers have seen them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from networks import HEIGHT, WIDTH
from numpy.typing import NDArray
from torch import Tensor, nn

from latency_models.int8_support import largest_weight
from search_spaces.fake_quantize import QuantizedNetwork, TensorQuantizer, prepare
from search_spaces.graph import Graph
from search_spaces.modules import Network, load_weights
from search_spaces.onnx_writer import random_weights
from search_spaces.quantize import CPU_RULES

OPENVINO_RULES = replace(CPU_RULES, weight_max=largest_weight("openvino"))
Image = NDArray[np.float32]


def pictures(count: int = 4, *, seed: int = 0) -> Tensor:
    """(count, 3, HEIGHT, WIDTH): smooth colours of eight bits in [0, 1]."""
    coarse = torch.rand(count, 3, 4, 6, generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic")
    return (smooth.clamp(0, 1) * 255).round() / 255


def lively(graph: Graph, *, seed: int = 0) -> Network:
    """The network with large random weights: at its own start its learned part is near silent."""
    network = Network(graph)
    load_weights(network, random_weights(graph, seed=seed))
    return network.eval()


def calibrated(graph: Graph, *, weight_max: int | None = None, seed: int = 0) -> QuantizedNetwork:
    """The fake-quantized lively network, its scales set from the pictures."""
    rules = OPENVINO_RULES
    if weight_max is not None:
        rules = replace(rules, weight_max=weight_max)
    network = prepare(lively(graph, seed=seed), rules).eval()
    quantizers = [part for part in network.modules() if isinstance(part, TensorQuantizer)]
    with torch.no_grad():
        for quantizer in quantizers:
            quantizer.start_calibration()
        network(pictures())
        for quantizer in quantizers:
            quantizer.finish_calibration()
    return network


def outputs(network: nn.Module, image: Tensor) -> Image:
    """What a module gives for a batch, as an array."""
    with torch.no_grad():
        result: Image = network(image).numpy()
    return result
