"""Networks that compute as their int8 file will."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.fake_quantize import (
    QuantizedNetwork,
    convert,
    prepare,
    restore,
)
from search_spaces.graph import Graph
from search_spaces.modules import build, fold
from search_spaces.onnx_writer import write
from search_spaces.primitives import Conv, ConvTranspose, Input
from search_spaces.quantize import CPU_RULES
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.tensor_quantizer import TensorQuantizer, fake_quantize
from search_spaces.transposed import runs_as_convolution, taps
from trainers.base import Quantizer

GRAPHS = {
    "residual": lower(
        Architecture(
            "upscaler", one_to_one(3, 3, 2),
            (BlockSpec.of("conv", 16, activation="prelu"), BlockSpec.of("residual", 16)),
            (("base", "bicubic"), ("centre", True), ("skip", True)),
        )
    ),
    "separable": lower(
        Architecture(
            "upscaler",
            one_to_one(3, 3, 2),
            (BlockSpec.of("conv", 8), BlockSpec.of("separable", 16)),
        )
    ),
    "fsrcnn": lower(reference("fsrcnn", 2)),
}


@pytest.fixture(params=GRAPHS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return GRAPHS[request.param]


def picture(*, seed: int = 0) -> Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(seed))


def quantizers(network: nn.Module) -> list[TensorQuantizer]:
    return [part for part in network.modules() if isinstance(part, TensorQuantizer)]


def step_of(quantizer: TensorQuantizer) -> float:
    return float(quantizer.step().detach())


def calibrated(graph: Graph, *, weight_max: int = 127) -> QuantizedNetwork:
    network = prepare(build(graph, seed=0), replace(CPU_RULES, weight_max=weight_max))
    with torch.no_grad():
        for quantizer in quantizers(network):
            quantizer.start_calibration()
        network(picture())
        for quantizer in quantizers(network):
            quantizer.finish_calibration()
    return network


def test_rounding_is_half_to_even_and_clips_at_both_ends() -> None:
    x = torch.tensor([0.25, 0.75, 1.25, -0.25, 100.0, -100.0])
    y = fake_quantize(x, torch.tensor(0.5), -4, 3)
    assert y.tolist() == [0.0, 1.0, 1.0, 0.0, 1.5, -2.0]


def test_the_gradient_passes_rounding_and_stops_at_clipping() -> None:
    x = torch.tensor([0.3, -0.7, 100.0], requires_grad=True)
    fake_quantize(x, torch.tensor(0.5), -4, 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 0.0]


def test_the_gradient_of_a_scale_is_that_of_the_paper() -> None:
    x = torch.tensor([0.3, -0.7, 100.0])
    scale = torch.tensor(0.5, requires_grad=True)
    fake_quantize(x, scale, -4, 3).sum().backward()
    # Esser et al., eq. 3: round(x / s) - x / s inside, the bound outside.
    expected = (1.0 - 0.6) + (-1.0 + 1.4) + 3.0
    assert scale.grad is not None
    assert float(scale.grad) == pytest.approx(expected, abs=1e-5)


def test_calibration_takes_the_scale_from_the_largest_value_that_was_seen() -> None:
    quantizer = TensorQuantizer()
    quantizer.start_calibration()
    for value in (2.54, -1.28, 0.5):
        x = torch.tensor([value, 0.0])
        assert torch.equal(quantizer(x), x)
    quantizer.finish_calibration()
    assert step_of(quantizer) == pytest.approx(2.54 / 127, rel=1e-6)


def test_negative_values_have_one_integer_more() -> None:
    quantizer = TensorQuantizer()
    quantizer.start_calibration()
    quantizer(torch.tensor([-1.28, 1.0]))
    quantizer.finish_calibration()
    assert step_of(quantizer) == pytest.approx(0.01, rel=1e-6)


def test_a_rare_peak_is_clipped_where_that_rounds_the_rest_better() -> None:
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    values[7] = 40.0
    quantizer = TensorQuantizer()
    quantizer.start_calibration()
    quantizer(values[None])
    quantizer.finish_calibration()
    def error(step: float) -> float:
        rounded = fake_quantize(values, torch.tensor(step), -128, 127)
        return float((rounded - values).square().mean())

    assert error(step_of(quantizer)) < 0.9 * error(40.0 / 127)


def test_calibration_puts_the_mean_outputs_of_rounded_layers_right() -> None:
    graph = Graph((Input((), 3), Conv((0,), 8)))
    network = build(graph, seed=0)
    rounded = prepare(network, replace(CPU_RULES, weight_max=2))
    image = picture()

    def mean_error() -> float:
        exact, found = network(image), rounded.step(1, graph.nodes[1], [image])
        return float((found - exact).mean(dim=(0, 2, 3)).abs().max())

    with torch.no_grad():
        before = mean_error()
        parts = [rounded, *rounded.tensors.values()]
        for part in parts:
            part.start_calibration()
        rounded(image)
        for part in parts:
            part.finish_calibration()
        assert before > 1e-2
        assert mean_error() < 1e-5


def test_calibration_without_data_is_refused() -> None:
    quantizer = TensorQuantizer()
    quantizer.start_calibration()
    with pytest.raises(RuntimeError, match="calibration saw no data"):
        quantizer.finish_calibration()


def test_calibrating_again_forgets_what_was_seen_before() -> None:
    quantizer = TensorQuantizer()
    for value in (127.0, 12.7):
        quantizer.start_calibration()
        quantizer(torch.tensor([value]))
        quantizer.finish_calibration()
    assert step_of(quantizer) == pytest.approx(0.1, rel=1e-6)


def test_training_knows_a_quantizer_and_its_scales_by_their_names() -> None:
    network = calibrated(GRAPHS["residual"])
    found = [part for part in network.modules() if isinstance(part, Quantizer)]
    assert found == [network, *quantizers(network)]  # it puts its layers' means right
    learned = {name for name, _ in network.named_parameters() if "scale" in name}
    expected = {f"tensors.t{o}.scale" for o in set(network.placement.tensors.values())}
    expected |= {f"weight_scales.n{i}" for i in network.placement.layers}
    assert learned == expected


def test_preparing_leaves_the_float_network_as_it_was(graph: Graph) -> None:
    network = build(graph, seed=0)
    before = copy.deepcopy(network.state_dict())
    prepared = prepare(network)
    with torch.no_grad():
        for parameter in prepared.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_a_calibrated_network_is_near_its_float_network_and_not_equal(graph: Graph) -> None:
    with torch.no_grad():
        exact = build(graph, seed=0)(picture())
        rounded = calibrated(graph)(picture())
    error = (rounded - exact).abs().mean() / exact.std()
    assert 0 < error < 0.1


def test_a_gradient_reaches_every_weight_and_every_scale(graph: Graph) -> None:
    network = calibrated(graph)
    network.train()
    target = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(9))
    (network(picture()) - target).square().sum().backward()
    learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert len(learned) >= len(list(network.parameters())) - 1  # an exact picture's scale stays
    for name, parameter in learned.items():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_what_was_converted_can_be_restored(graph: Graph) -> None:
    network = calibrated(graph)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.01 if parameter.requires_grad else 1.0)
        expected = network(picture())
        weights, placement, scales = convert(network)
        again = restore(build(graph, seed=5), placement, weights, scales)(picture())
    # A logarithm and back may move one value by one step.
    assert float((again - expected).abs().mean()) < 1e-4
    assert float((again == expected).float().mean()) > 0.5


def test_a_restored_network_converts_to_the_same_scales(graph: Graph) -> None:
    weights, placement, scales = convert(calibrated(graph))
    back_weights, back_placement, back = convert(
        restore(build(graph, seed=5), placement, weights, scales)
    )
    assert back_placement == placement
    assert back.tensors == pytest.approx(dict(scales.tensors), rel=1e-6)
    for index in scales.weights:
        assert back.weights[index] == pytest.approx(scales.weights[index], rel=1e-6)
    assert all(np.array_equal(weights[k], back_weights[k]) for k in weights)


def test_the_scale_of_a_tensor_is_written_for_everyone_who_shares_it() -> None:
    network = calibrated(GRAPHS["residual"])
    _, placement, scales = convert(network)
    assert set(scales.tensors) == set(placement.tensors)
    assert set(scales.weights) == set(placement.layers)
    assert all(scale > 0 for scale in scales.tensors.values())


@pytest.mark.parametrize("top", [64, 127])
def test_the_file_holds_the_very_weights_that_were_trained(graph: Graph, top: int) -> None:
    network = calibrated(graph, weight_max=top)
    weights, placement, scales = convert(network)
    file = write(graph, weights, height=16, width=24, quantized=(placement, scales))
    stored = {
        t.name: numpy_helper.to_array(t)
        for t in onnx.load_model_from_string(file).graph.initializer
    }
    for index in placement.layers:
        integers = stored[f"n{index}.weight.int8"].astype(np.float32)
        axis = 1 if graph.nodes[index].__class__.__name__ == "ConvTranspose" else 0
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        scale = torch.from_numpy(scales.weights[index]).view(shape)
        weight = torch.from_numpy(weights[f"n{index}.weight"])
        trained = (fake_quantize(weight, scale, -top, top) / scale).round().numpy()
        node = graph.nodes[index]
        if isinstance(node, ConvTranspose) and runs_as_convolution(node):
            trained = np.append(trained, np.float32(0))[taps(node, len(trained))]
        assert np.abs(integers).max() <= top
        assert np.array_equal(integers, trained)


def test_tensors_can_be_rounded_before_weights_are(graph: Graph) -> None:
    network = build(graph, seed=0)
    first = prepare(network, tensors_first=True)
    for part in (first, *quantizers(first)):
        part.start_calibration()
    first(picture())
    for part in (first, *quantizers(first)):
        part.finish_calibration()
    inputs = [picture(seed=k).numpy()[:1] for k in range(4)]
    with torch.no_grad():
        tensors_only = first(picture())
        for quantizer in quantizers(first):
            quantizer.start_calibration()
        assert torch.allclose(first(picture()), fold(network)(picture()), atol=1e-5)
        for quantizer in quantizers(first):
            quantizer.finish_calibration()
        first.round_weights(inputs)
        rounded = first(picture())
    assert not torch.equal(tensors_only, rounded)
    at_once = prepare(network, inputs=inputs)
    for index in first.placement.layers:
        steps = [part.weight_scales[f"n{index}"] for part in (first, at_once)]
        assert steps[0].isfinite().all() and steps[0].shape == steps[1].shape


@pytest.mark.parametrize("top", [64, 127])
@pytest.mark.parametrize("base", ["nearest", "bilinear"])
def test_neither_rounding_nor_training_moves_a_base_that_int8_holds_exactly(
    base: str, top: int
) -> None:
    blocks = (BlockSpec.of("conv", 8), BlockSpec.of("conv", 8))
    over = (("base", base), ("centre", True))
    graph = lower(Architecture("upscaler", one_to_one(3, 3, 2), blocks, over))
    (at,) = (i for i, node in enumerate(graph.nodes) if getattr(node, "fixed", ""))
    network = build(graph, seed=0)
    kernel = network.weighted(at).weight.clone()
    inputs = [picture(seed=k).numpy() for k in range(4)]
    prepared = prepare(network, replace(CPU_RULES, weight_max=top), inputs=inputs)
    for part in quantizers(prepared):
        part.start_calibration()
    prepared(picture())
    for part in quantizers(prepared):
        part.finish_calibration()
    learned = [p for p in prepared.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        prepared(picture()).square().mean().backward()
        optimizer.step()
    weights, _, scales = convert(prepared)
    step = scales.weights[at].reshape(-1, 1, 1, 1)
    shipped = np.clip(np.rint(weights[f"n{at}.weight"] / step), -top, top) * step
    assert shipped == pytest.approx(kernel.numpy(), rel=1e-6)
