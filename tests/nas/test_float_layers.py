"""Layers that int8 hurts are found by measuring, and left in float."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_search import SMALL, write_photos

from latency_models.engines.ov import OpenVINOEngine
from latency_models.measured import MeasuredLatency
from nas.float_layers import calibrated_drop, choose_float_layers, layer_drops
from nas.networks import rules_for
from search_spaces.fake_quantize import convert, prepare
from search_spaces.modules import Network, build
from search_spaces.onnx_writer import write
from search_spaces.primitives import Conv
from search_spaces.quantize import place
from search_spaces.skeletons import lower
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.fit import fit
from trainers.qat import calibrate
from trainers.tasks.super_resolution import SuperResolution

RULES = rules_for("openvino")
_WITHOUT_SKIP = (("base", "nearest"), ("centre", True))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> SuperResolution:
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    return SuperResolution(data=Sources(str(photos)), crop=16)


@pytest.fixture(scope="module")
def network(task: SuperResolution) -> Network:
    """A trained network with one layer that int8 cannot hold.

    One of its channels is ten thousand times larger than the others, and read by as little.
    """
    torch.set_num_threads(1)
    made = build(lower(replace(SMALL, args=_WITHOUT_SKIP)), seed=0)
    fit(made, task, Budget(max_steps=150, batch_size=4, learning_rate=5e-3), seed=0)
    layers = [n for n, node in enumerate(made.graph.nodes) if isinstance(node, Conv)]
    first, second = (made.layers[f"n{n}"] for n in layers[:2])
    with torch.no_grad():
        first.weight[0] *= 10_000
        first.bias[0] *= 10_000  # type: ignore[index]
        second.weight[:, 0] /= 10_000
    return made.eval()


def loudest(network: Network) -> int:
    """The layer that reads the channel that is too large."""
    return [n for n, node in enumerate(network.graph.nodes) if isinstance(node, Conv)][1]


def test_the_layer_that_int8_cannot_hold_is_named_first(
    network: Network, task: SuperResolution
) -> None:
    drops = layer_drops(network, task, RULES, calibration=8)
    assert {found.layer for found in drops} == place(network.graph, RULES).layers
    assert drops[0].layer == loudest(network)
    # How much depends on the processor: integers are twice as coarse without VNNI.
    assert drops[0].drop > 10 * max(0.001, drops[1].drop)


def test_layers_are_left_in_float_until_little_enough_is_lost(
    network: Network, task: SuperResolution
) -> None:
    full = calibrated_drop(network, task, RULES, calibration=8)
    none = choose_float_layers(network, task, RULES, most_drop=full + 1, calibration=8)
    assert none.layers == frozenset() and none.enough and none.drop == none.full_drop == full
    some = choose_float_layers(network, task, RULES, most_drop=0.5 * full, calibration=8)
    assert loudest(network) in some.layers
    assert some.drop < full and some.full_drop == full
    impossible = choose_float_layers(network, task, RULES, most_drop=-9.0, calibration=8)
    assert not impossible.enough


def test_without_any_int8_layer_nothing_is_lost(network: Network, task: SuperResolution) -> None:
    everything = place(network.graph, RULES).layers
    assert calibrated_drop(network, task, RULES, keep_float=everything) == 0.0


def test_a_file_with_a_float_layer_is_what_was_judged(
    network: Network, task: SuperResolution
) -> None:
    prepared = prepare(network, RULES, keep_float=frozenset({loudest(network)}))
    calibrate(prepared, task, 8)
    weights, placement, scales = convert(prepared)
    assert loudest(network) not in placement.layers
    onnx = write(network.graph, weights, height=24, width=32, quantized=(placement, scales))
    image = np.random.default_rng(0).random((1, 3, 24, 32), dtype=np.float32)
    (made,) = MeasuredLatency(OpenVINOEngine()).run(onnx, "int8", [{"input": image}], {})
    with torch.no_grad():
        expected = prepared.eval()(torch.from_numpy(image)).numpy()
    assert np.abs(made["output"] - expected).mean() < 1e-3
