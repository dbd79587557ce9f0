"""By how much int8 sums are off where they are as large as they can be.

A program of its own, too: what a processor can do is settled when an engine is first used, so a
weaker one is played in a process that was started as such.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import torch
from calibrated import lively, outputs
from int8_runs import in_engine, int8_file
from networks import HEIGHT, WIDTH

from latency_models.int8_support import largest_weight
from search_spaces.fake_quantize import QuantizedNetwork, prepare
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import Conv
from search_spaces.quantize import CPU_RULES
from search_spaces.tensor_quantizer import TensorQuantizer


def error(top: int) -> float:
    """OpenVINO's largest error with weights up to `top`, as a share of the largest output."""
    builder = GraphBuilder(3)
    features = builder.add(Conv, 0, out_channels=32, activation="relu")
    graph = builder.finish(builder.add(Conv, features, out_channels=8))
    bright = torch.ones(1, 3, HEIGHT, WIDTH)
    network = _of_positive_weights(graph, top)
    expected = outputs(network, bright)
    difference = np.abs(in_engine(int8_file(network), bright.numpy()) - expected)
    return float(difference.max() / np.abs(expected).max())


def _of_positive_weights(graph: Graph, top: int) -> QuantizedNetwork:
    """Sums as large as they can be: every weight and every input positive."""
    network = lively(graph)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    prepared = prepare(network, replace(CPU_RULES, weight_max=top)).eval()
    quantizers = [part for part in prepared.modules() if isinstance(part, TensorQuantizer)]
    with torch.no_grad():
        for quantizer in quantizers:
            quantizer.start_calibration()
        prepared(torch.ones(1, 3, HEIGHT, WIDTH))
        for quantizer in quantizers:
            quantizer.finish_calibration()
    return prepared


if __name__ == "__main__":
    errors = {str(top): error(top) for top in (64, 127)}
    print(json.dumps({"largest": largest_weight("openvino"), "errors": errors}))
