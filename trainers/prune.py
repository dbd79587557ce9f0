"""Which channels matter: scores by which the least of a layer can be removed.

Names of layers are those of `named_modules`; a score is one number per output channel, the larger
the more it matters. What is removed, and what a network then looks like, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.base import CRITERIA, Criterion, Task
from trainers.calls import moved, outputs_of, parts

LayerScores = dict[str, NDArray[np.float64]]
_BATCH = 16


def channel_scores(
    module: nn.Module,
    layers: Sequence[str],
    task: Task,
    *,
    criterion: Criterion = "l1",
    inputs: int = 64,
    seed: int = 0,
) -> LayerScores:
    """Score the output channels of some layers.

    `l1` is the sum of the magnitudes of a channel's weights (Li et al., "Pruning filters for
    efficient convnets", 2017); `random` the control that any other must beat; `mean_activation`
    the mean magnitude of its output (after Molchanov et al., 2017); `apoz` the share of its
    outputs that are above zero (Hu et al., "Network trimming", 2016, who count the zeros).

    Args:
        module: the network, trained; left as it was.
        layers: convolutions, by name.
        task: gives the inputs that activations are taken on.
        inputs: how many of its calibration inputs.
        seed: of `random`.

    Raises:
        ValueError: no such criterion or layer.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"unknown criterion '{criterion}'; there are: {', '.join(CRITERIA)}")
    known = dict(module.named_modules())
    for name in layers:
        if name not in known or not isinstance(getattr(known[name], "weight", None), Tensor):
            raise ValueError(f"the network has no layer '{name}' with weights")
    if criterion == "random":
        generator = np.random.default_rng(seed)
        return {name: generator.random(_width(known[name])) for name in layers}
    if criterion in ("mean_activation", "apoz"):
        return _over_activations(module, layers, task, inputs, positive=criterion == "apoz")
    return {name: _l1(known[name]) for name in layers}


def _axis(layer: nn.Module) -> int:
    """The axis of the output channels in a layer's weight."""
    kinds = (type(layer).__name__, type(getattr(layer, "node", None)).__name__)
    return 1 if any("ConvTranspose" in kind for kind in kinds) else 0


def _width(layer: nn.Module) -> int:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return int(weight.shape[_axis(layer)])


def _l1(layer: nn.Module) -> NDArray[np.float64]:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    others = [axis for axis in range(weight.ndim) if axis != _axis(layer)]
    magnitude: NDArray[np.float64] = weight.detach().abs().sum(others).double().cpu().numpy()
    return magnitude


@torch.no_grad()
def _over_activations(
    module: nn.Module, layers: Sequence[str], task: Task, inputs: int, *, positive: bool
) -> LayerScores:
    """The mean of |output|, or of output > 0, per channel."""
    sums: LayerScores = {}

    def watching(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(layer: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
            values = (output > 0).double() if positive else output.abs().double()
            mean = values.mean([0, *range(2, output.ndim)]) * len(output)
            sums[name] = sums.get(name, 0.0) + mean.cpu().numpy()

        return hook

    known, training = dict(module.named_modules()), module.training
    device = next(module.parameters()).device
    hooks = [known[name].register_forward_hook(watching(name)) for name in layers]
    shown = moved(task.calibration(inputs), device)
    module.eval()
    try:
        for part in parts(shown, _BATCH):
            outputs_of(module, task.signature, part)
    finally:
        for hook in hooks:
            hook.remove()
        module.train(training)
    return {name: total / inputs for name, total in sums.items()}
