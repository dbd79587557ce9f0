"""ONNX Runtime's layers are led back to the nodes of the file."""

from __future__ import annotations

import pytest

from latency_models.engines.ort import OnnxRuntimeEngine
from tests.latency_models.small_nets import conv_net

pytest.importorskip("onnxruntime")


def test_a_convolution_in_the_blocked_layout_names_its_activation_too() -> None:
    with OnnxRuntimeEngine().compile(conv_net(channels=16, size=16), "fp32") as compiled:
        found = {node for layer in compiled.layers() for node in layer.original_nodes}
    assert {f"{kind}{i}" for kind in ("conv", "relu") for i in range(3)} <= found | {
        f"relu{i}" for i in range(3)  # fused into a plain convolution, they are not named
    }
    assert {"conv0", "conv1", "conv2"} <= found


def test_integer_convolutions_name_theirs() -> None:
    net = conv_net(channels=16, size=16, int8=True)
    with OnnxRuntimeEngine().compile(net, "int8") as compiled:
        layers = [layer for layer in compiled.layers(timed=True) if layer.kind == "QLinearConv"]
    assert [layer.original_nodes for layer in layers] == [("conv0",), ("conv1",), ("conv2",)]
    assert all(layer.ms is not None for layer in layers)
