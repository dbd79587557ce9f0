"""A calibrated int8 stack of convolutions beside the same one quantized by NVIDIA's ModelOpt."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces.fake_quantize import prepare
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.modules import Network, load_weights
from search_spaces.primitives import Conv
from search_spaces.quantize import QuantRules
from search_spaces.tensor_quantizer import TensorQuantizer
from search_spaces.weights import random_weights

WIDTHS = (3, 16, 24, 12)


@pytest.fixture(scope="module")
def modelopt() -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            import modelopt.torch.quantization as found
        except ImportError as error:
            pytest.skip(f"ModelOpt cannot be imported ({error}): pip install nvidia-modelopt")
    return found


def stack() -> Graph:
    builder, last = GraphBuilder(WIDTHS[0]), 0
    for width in WIDTHS[1:]:
        activation = "none" if width == WIDTHS[-1] else "relu"
        last = builder.add(Conv, last, out_channels=width, activation=activation)
    return builder.finish(last)


def plain(network: Network) -> nn.Sequential:
    """The same layers as torch's own modules, which ModelOpt knows."""
    layers: list[nn.Module] = []
    for layer in network.layers.values():
        out, inputs = layer.weight.shape[:2]
        made = nn.Conv2d(inputs, out, 3, padding=1)
        with torch.no_grad():
            made.weight.copy_(layer.weight)
            made.bias.copy_(layer.bias)  # type: ignore[union-attr]
        layers += [made, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def test_scales_and_losses_are_those_of_modelopt(modelopt: Any) -> None:
    graph = stack()
    network = Network(graph)
    load_weights(network, random_weights(graph, seed=0))
    pictures = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    own = prepare(network, QuantRules(uint8=False)).eval()
    quantizers = [part for part in own.modules() if isinstance(part, TensorQuantizer)]
    with torch.no_grad():
        for quantizer in quantizers:
            quantizer.start_calibration()
        own(pictures)
        for quantizer in quantizers:
            quantizer.finish_calibration()

    def show(model: nn.Module) -> None:
        model(pictures)

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        other = modelopt.quantize(plain(network), modelopt.INT8_DEFAULT_CFG, show)
        expected: Tensor = other(pictures)
        found: Tensor = own(pictures)
    convolutions = [part for part in other if hasattr(part, "input_quantizer")]
    assert len(convolutions) == len(own.placement.layers) == len(quantizers)
    steps = sorted(float(part.input_quantizer.amax) / 127 for part in convolutions)
    own_steps = sorted(quantizer.step().item() for quantizer in quantizers)
    # ModelOpt looks at activations while the weights before them are rounded already.
    assert own_steps == pytest.approx(steps, rel=0.01)
    assert own_steps[0] == pytest.approx(steps[0], rel=1e-6)
    with torch.no_grad():
        exact = network.eval()(pictures)
    lost, theirs = (found - exact).abs().mean(), (expected - exact).abs().mean()
    assert lost.item() == pytest.approx(theirs.item(), rel=0.1)
