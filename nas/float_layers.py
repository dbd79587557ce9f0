"""Which layers int8 hurts, measured one by one, and which of them to leave in float.

Everything here is calibration alone (post-training quantization): no weight is changed, so that a
layer is blamed for its own rounding only. Fine-tuning afterwards wins most of it back; a layer
that is left in float has to be worth its latency, which only the timed file can say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces.quantize import QuantRules, place
from trainers.base import Metric, Task

if TYPE_CHECKING:
    from search_spaces.modules import Network

_CALIBRATION = 64


@dataclass(frozen=True)
class LayerDrop:
    """What the metric loses when this layer alone is quantized.

    Attributes:
        layer: the node of the Graph.
        drop: in the metric's unit; negative where it gains by chance.
    """

    layer: int
    drop: float


@dataclass(frozen=True)
class FloatChoice:
    """Which layers to leave in float.

    Attributes:
        layers: the nodes, empty when all of the network can be int8.
        drop: what is then lost by calibration alone.
        full_drop: what is lost with every layer in int8.
        enough: whether `drop` is within what was allowed.
    """

    layers: frozenset[int]
    drop: float
    full_drop: float
    enough: bool


def calibrated_drop(
    network: Network,
    task: Task,
    rules: QuantRules,
    *,
    keep_float: Iterable[int] = (),
    calibration: int = _CALIBRATION,
) -> float:
    """What the metric loses by quantization without any fine-tuning.

    Args:
        network: trained; left as it is.
        task: gives the inputs to calibrate on, and judges.
        rules: what the engine can run in int8.
        keep_float: layers that are not quantized.
        calibration: how many inputs.
    """
    from search_spaces.fake_quantize import prepare
    from search_spaces.modules import fold
    from trainers.calls import all_inputs
    from trainers.fit import judge
    from trainers.qat import calibrate

    inputs = all_inputs(network, task.signature, task.calibration(calibration))
    prepared = prepare(network, rules, keep_float=frozenset(keep_float), inputs=inputs)
    if not prepared.placement.layers:
        return 0.0
    calibrate(prepared, task, calibration)
    return _lost(task.metric, judge(fold(network), task), judge(prepared, task))


def _lost(metric: Metric, before: float, after: float) -> float:
    return before - after if metric.mode == "max" else after - before


def layer_drops(
    network: Network, task: Task, rules: QuantRules, *, calibration: int = _CALIBRATION
) -> list[LayerDrop]:
    """Quantize each layer alone, the most sensitive first."""
    layers = place(network.graph, rules).layers
    drops = [
        LayerDrop(
            layer,
            calibrated_drop(
                network, task, rules, keep_float=layers - {layer}, calibration=calibration
            ),
        )
        for layer in sorted(layers)
    ]
    return sorted(drops, key=lambda found: -found.drop)


def choose_float_layers(
    network: Network,
    task: Task,
    rules: QuantRules,
    *,
    most_drop: float,
    calibration: int = _CALIBRATION,
) -> FloatChoice:
    """Leave layers in float, the most sensitive first, until no more than this is lost.

    Args:
        network: trained; left as it is.
        task: gives the inputs to calibrate on, and judges.
        rules: what the engine can run in int8.
        most_drop: of the metric, in its unit, by calibration alone.
        calibration: how many inputs.
    """
    full = drop = calibrated_drop(network, task, rules, calibration=calibration)
    left: list[int] = []
    if full > most_drop:
        for found in layer_drops(network, task, rules, calibration=calibration):
            if found.drop <= 0:
                break
            left.append(found.layer)
            drop = calibrated_drop(
                network, task, rules, keep_float=left, calibration=calibration
            )
            if drop <= most_drop:
                break
    return FloatChoice(frozenset(left), drop, full, drop <= most_drop)
