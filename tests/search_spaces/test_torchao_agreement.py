"""Calibrated int8 networks beside torchao's PT2E flow, which is asked for the same placement."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces.fake_quantize import QuantizedNetwork, prepare
from search_spaces.modules import Network, load_weights
from search_spaces.quantize import QuantRules
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.tensor_quantizer import TensorQuantizer
from search_spaces.weights import random_weights

RULES = QuantRules(uint8=False)


@pytest.fixture(scope="module")
def pt2e() -> Any:
    """torchao's functions and classes, or a skip that says what is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torchao.quantization.pt2e as found
            import torchao.quantization.pt2e.quantize_pt2e as flow
            import torchao.quantization.pt2e.quantizer as quantizer
        except ImportError as error:
            pytest.skip(f"torchao is not installed ({error}): pip install --no-deps torchao")
    return found, flow, quantizer


@pytest.fixture(scope="module")
def network() -> Network:
    graph = lower(reference("ecbsr_m4c16", 2))
    made = Network(graph)
    load_weights(made, random_weights(graph, seed=0))
    return made.eval()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    coarse = torch.rand(4, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, size=(24, 32), mode="bicubic").clamp(0, 1)


def ours(network: Network, pictures: Tensor) -> QuantizedNetwork:
    prepared = prepare(network, RULES).eval()
    quantizers = [part for part in prepared.modules() if isinstance(part, TensorQuantizer)]
    with torch.no_grad():
        for quantizer in quantizers:
            quantizer.start_calibration()
        prepared(pictures)
        for quantizer in quantizers:
            quantizer.finish_calibration()
    return prepared


def theirs(network: Network, pictures: Tensor, pt2e: Any) -> nn.Module:
    """The same network converted by PT2E: inputs per tensor, weights per channel, symmetric."""
    found, flow, kinds = pt2e
    data = kinds.QuantizationSpec(
        dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_symmetric,
        observer_or_fake_quant_ctr=found.MinMaxObserver.with_args(eps=1e-12),
    )  # fmt: skip
    kernel = kinds.QuantizationSpec(
        dtype=torch.int8, quant_min=-127, quant_max=127, ch_axis=0,
        qscheme=torch.per_channel_symmetric,
        observer_or_fake_quant_ctr=found.PerChannelMinMaxObserver.with_args(eps=1e-12),
    )  # fmt: skip

    class InputsOfConvolutions(kinds.Quantizer):  # type: ignore[misc]
        def annotate(self, model: Any) -> Any:
            for node in model.graph.nodes:
                if "conv2d" in str(node.target):
                    wanted = {node.args[0]: data, node.args[1]: kernel}
                    node.meta["quantization_annotation"] = kinds.QuantizationAnnotation(
                        input_qspec_map=wanted, _annotated=True
                    )
            return model

        def validate(self, model: Any) -> None:
            """Nothing to check."""

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exported = torch.export.export(network, (pictures,), strict=True).module()
        observed = flow.prepare_pt2e(exported, InputsOfConvolutions())
        observed(pictures)
        converted: nn.Module = flow.convert_pt2e(observed)
    return converted


def test_the_same_layers_and_tensors_are_quantized_with_almost_the_same_result(
    network: Network, pictures: Tensor, pt2e: Any
) -> None:
    own, other = ours(network, pictures), theirs(network, pictures, pt2e)
    names = [str(node.target) for node in other.graph.nodes]  # type: ignore[union-attr]
    per_channel = [name for name in names if "dequantize_per_channel" in name]
    read_once = {name for name in names if "quantize_per_tensor" in name}
    assert len(per_channel) == len(own.placement.layers)
    assert read_once
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact, one, two = network(pictures), own(pictures), other(pictures)
    error = (one - exact).abs().mean()
    assert error > 0
    # Their step is peak/127.5, ours the larger of peak/127 above and peak/128 below zero.
    assert (two - exact).abs().mean() == pytest.approx(error.item(), rel=0.2)
    assert (one - two).abs().mean() < 1.5 * error


def test_rounding_and_clamping_are_those_of_torch_s_reference_operators(
    network: Network, pictures: Tensor, pt2e: Any
) -> None:
    quantize = torch.ops.quantized_decomposed.quantize_per_tensor.default
    restore = torch.ops.quantized_decomposed.dequantize_per_tensor.default
    own = ours(network, pictures)
    values = torch.linspace(-3.0, 3.0, 4001)
    for part in own.modules():
        if isinstance(part, TensorQuantizer):
            step = float(part.step().detach())
            integers = quantize(values, step, 0, -128, 127, torch.int8)
            expected = restore(integers, step, 0, -128, 127, torch.int8)
            with torch.no_grad():
                found = part(values[None])[0]
            # A value midway between two steps may fall either way: x / s and x * (1 / s) differ.
            apart = (found - expected).abs()
            assert (apart > 1e-5).float().mean() < 1e-3
            assert apart.max() <= step * 1.001
