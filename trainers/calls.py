"""How any network is called: by port, frame after frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.signature import INPUT, OUTPUT, Signature
from trainers.base import Arrays, Batch, PictureRun, Run, Tensors

if TYPE_CHECKING:
    from torch import nn


def step_of(module: nn.Module, signature: Signature) -> Callable[[Tensors], Tensors]:
    """A module as a function of all inputs of one frame by name.

    A module of one input takes a tensor, any other the mapping; it gives a tensor or a mapping.
    """

    def step(inputs: Tensors) -> Tensors:
        alone = len(signature.inputs) == 1
        made: Any = module(next(iter(inputs.values())) if alone else dict(inputs))
        return {signature.outputs[0].name: made} if isinstance(made, Tensor) else made

    return step


def outputs_of(module: nn.Module, signature: Signature, batch: Batch) -> dict[str, Tensor]:
    """What a module makes of a batch: by port, with several frames (N, T, C, H, W)."""
    step = step_of(module, signature)
    if batch.frames == 1:
        return dict(step({**batch.inputs, **signature.start(batch.inputs)}))
    made = list(signature.unroll(step, frames_of(batch)))
    return {name: torch.stack([one[name] for one in made], dim=1) for name in made[0]}


def frames_of(batch: Batch) -> list[Tensors]:
    """The frames of a batch, one after the other."""
    if batch.frames == 1:
        return [batch.inputs]
    every = range(batch.frames)
    return [{name: x[:, t] for name, x in batch.inputs.items()} for t in every]


def parts(batch: Batch, size: int) -> Iterator[Batch]:
    """A batch in pieces of at most `size` samples, without their truth."""
    count = len(next(iter(batch.inputs.values())))
    for start in range(0, count, size):
        inputs = {name: x[start : start + size] for name, x in batch.inputs.items()}
        yield Batch(inputs, None, batch.frames)


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch with its inputs on another device."""
    return batch._replace(inputs={name: x.to(device) for name, x in batch.inputs.items()})


def all_inputs(module: nn.Module, signature: Signature, batch: Batch) -> list[Arrays]:
    """All inputs of each sample and frame, what the module carries among them."""
    found: list[Arrays] = []
    step = step_of(module, signature)

    def watched(inputs: Tensors) -> Tensors:
        found.append({name: x.numpy() for name, x in inputs.items()})
        return step(inputs) if signature.carried else {}

    with torch.no_grad():
        for sample in parts(batch, 1):
            for _ in signature.unroll(watched, frames_of(sample)):
                pass
    return found


def run_of(module: nn.Module, signature: Signature) -> Run:
    """A module as a function of arrays, where its parameters are."""
    step = step_of(module, signature)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))

    def run(frames: Sequence[Arrays]) -> list[Arrays]:
        tensors = (
            {name: torch.from_numpy(np.ascontiguousarray(x)).to(device) for name, x in one.items()}
            for one in frames
        )
        with torch.inference_mode():
            return [
                {name: x.float().cpu().numpy() for name, x in made.items()}
                for made in signature.unroll(step, tensors)
            ]

    return run


def on_pictures(run: Run) -> PictureRun:
    """A network of one input and one output, as a function of single pictures."""

    def on_picture(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return run([{INPUT: image}])[0][OUTPUT]

    return on_picture


def still(run: PictureRun) -> Run:
    """The reverse: a function of single pictures as a network of one input and one output."""
    return lambda frames: [{OUTPUT: run(frame[INPUT])} for frame in frames]


def pair(batch: Batch) -> tuple[Tensor, Tensor]:
    """The picture and the truth of a batch of single pictures."""
    return batch.inputs[INPUT], batch.truth
