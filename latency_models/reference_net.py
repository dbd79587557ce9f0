"""The fixed network that is timed beside every candidate, so that drift of the machine is seen."""

from __future__ import annotations

import numpy as np

_CHANNELS, _SIZE, _LAYERS = 24, 64, 4


def reference_onnx() -> bytes:
    """Four 3x3 convolutions on (1, 3, 64, 64), about 65 MMAC, always the same bytes.

    Small enough to cost little beside a candidate, large enough to be timed to a percent. Never
    change it: figures that were corrected by two different networks do not compare.
    """
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, weights = [], []
    name, fan_in = "input", 3
    for layer in range(_LAYERS):
        out = _CHANNELS if layer < _LAYERS - 1 else 3
        kernel = random.standard_normal((out, fan_in, 3, 3)) * (2 / (9 * fan_in)) ** 0.5
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"weight{layer}"))
        weights.append(numpy_helper.from_array(np.full(out, 0.1, np.float32), f"bias{layer}"))
        nodes.append(
            helper.make_node(
                "Conv",
                [name, f"weight{layer}", f"bias{layer}"],
                [f"conv{layer}"],
                kernel_shape=[3, 3],
                pads=[1, 1, 1, 1],
            )
        )
        nodes.append(helper.make_node("Relu", [f"conv{layer}"], [f"relu{layer}"]))
        name, fan_in = f"relu{layer}", out
    graph = helper.make_graph(
        nodes,
        "reference",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, _SIZE, _SIZE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, _SIZE, _SIZE])],
        weights,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="freeway"
    )
    return bytes(model.SerializeToString())
