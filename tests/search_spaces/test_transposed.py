"""A transposed convolution with few outputs is a convolution and a pixel shuffle, exactly."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional

from search_spaces.graph import GraphBuilder
from search_spaces.layers import WeightedLayer
from search_spaces.onnx_writer import write
from search_spaces.primitives import ConvTranspose
from search_spaces.quantize import nominal_scales, place
from search_spaces.transposed import taps, transposed_padding
from search_spaces.weights import random_weights

KERNELS = [((9, 9), 2), ((9, 9), 3), ((9, 9), 4), ((4, 4), 2), ((2, 2), 2), ((3, 3), 2),
           ((6, 6), 3), ((4, 6), 2), ((5, 5), 1)]  # fmt: skip


def node(kernel: tuple[int, int], stride: int, outputs: int) -> ConvTranspose:
    return ConvTranspose((0,), out_channels=outputs, kernel=kernel, stride=stride, bias=True)


def drawn(made: ConvTranspose, inputs: int) -> WeightedLayer:
    layer = WeightedLayer(1, made, inputs)
    layer.reset(torch.Generator().manual_seed(0), gain=1.0, identity=False)
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.copy_(torch.arange(1.0, made.out_channels + 1))
    return layer


def by_torch(layer: WeightedLayer, image: torch.Tensor) -> torch.Tensor:
    assert isinstance(layer.node, ConvTranspose)
    spec, stride = transposed_padding(layer.node), layer.node.stride
    begin, extra = spec["pads"][:2], spec["output_padding"]
    return functional.conv_transpose2d(
        image, layer.weight, layer.bias, (stride, stride), (begin[0], begin[1]),
        (extra[0], extra[1]),
    )  # fmt: skip


@pytest.mark.parametrize(("kernel", "stride"), KERNELS)
@pytest.mark.parametrize("outputs", [1, 3, 7, 8])
def test_it_gives_what_torch_gives(kernel: tuple[int, int], stride: int, outputs: int) -> None:
    layer = drawn(node(kernel, stride, outputs), 5)
    image = torch.randn(2, 5, 7, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(layer(image), by_torch(layer, image), rtol=1e-5, atol=1e-5)


def test_a_margin_is_kept() -> None:
    made = ConvTranspose((0,), out_channels=2, kernel=(9, 9), stride=3, bias=True, margin=4)
    layer = drawn(made, 4)
    image = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(layer(image), by_torch(layer, image), rtol=1e-5, atol=1e-5)


def test_gradients_are_those_of_the_transposed_convolution() -> None:
    layer = drawn(node((9, 9), 2, 1), 6)
    image = torch.randn(1, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    layer(image).square().sum().backward()
    assert layer.weight.grad is not None
    found = layer.weight.grad.clone()
    layer.weight.grad = None
    by_torch(layer, image).square().sum().backward()
    torch.testing.assert_close(found, layer.weight.grad, rtol=1e-4, atol=1e-4)


def test_saved_weights_do_not_know_of_it() -> None:
    assert set(drawn(node((9, 9), 2, 1), 6).state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("stride", [1, 2])
def test_each_output_keeps_its_own_int8_scale(stride: int) -> None:
    builder = GraphBuilder(4)
    fields = {"out_channels": 3, "kernel": (5, 5), "stride": stride}
    graph = builder.finish(builder.add(ConvTranspose, 0, **fields))
    weights, placement = random_weights(graph), place(graph)
    scales = nominal_scales(graph, placement, weights)
    file = onnx.load_model_from_string(
        write(graph, weights, height=8, width=8, quantized=(placement, scales))
    )
    onnx.checker.check_model(file, full_check=True)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in file.graph.initializer}
    made = stored["n1.weight.int8"] * stored["n1.weight.scale"].reshape(-1, 1, 1, 1)
    exact = np.append(weights["n1.weight"], np.float32(0))[taps(graph.nodes[1], 4)]  # type: ignore[arg-type]
    assert np.abs(made - exact).max() <= 0.51 * float(scales.weights[1].max())
    dequantize = next(n for n in file.graph.node if n.input[0] == "n1.weight.int8")
    assert [a.i for a in dequantize.attribute if a.name == "axis"] == [0]


@pytest.mark.parametrize(("outputs", "kind"), [(1, "Conv"), (7, "Conv"), (8, "ConvTranspose")])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_file_has_the_form_that_is_fast(outputs: int, kind: str, precision: str) -> None:
    builder = GraphBuilder(4)
    fields = {"out_channels": outputs, "kernel": (9, 9), "stride": 2, "bias": True}
    graph = builder.finish(builder.add(ConvTranspose, 0, **fields))
    weights = random_weights(graph)
    placement = place(graph)
    scales = nominal_scales(graph, placement, weights)
    quantized = (placement, scales) if precision == "int8" else None
    file = onnx.load_model_from_string(
        write(graph, weights, height=8, width=8, quantized=quantized)
    )
    onnx.checker.check_model(file, full_check=True)
    kinds = [found.op_type for found in file.graph.node]
    assert kind in kinds
    assert ("DepthToSpace" in kinds) == (kind == "Conv")
    stored = [i for i in file.graph.initializer if i.name.startswith("n1.weight")]
    values = onnx.numpy_helper.to_array(stored[0])
    assert np.count_nonzero(values) <= weights["n1.weight"].size
