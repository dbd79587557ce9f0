"""Distillation: a larger network, already trained, is asked at every step and imitated.

Three terms, each with a weight: the teacher's output, its features, and the relations inside its
features. Teachers answer without gradients, and answer once for a batch that comes again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.base import Tensors

_TRIED_SIZE = 16
_RELATED_PLACES = 16
_GIB = 2**30
Hook = Callable[[nn.Module, tuple[Any, ...], Tensor], None]


@dataclass(frozen=True)
class TermWeights:
    """How much each term counts beside the task's loss.

    Attributes:
        output: mean absolute difference of the two outputs.
        feature: mean squared difference of the features, the student's through a learned 1x1
            convolution, over the mean square of the teacher's (Romero et al., "FitNets", 2015).
        relation: mean absolute difference of the cosines between all pairs of places in one
            image (He et al., "FAKD", ICIP 2020), at most 16 x 16 of them.
    """

    output: float = 1.0
    feature: float = 0.0
    relation: float = 0.0

    def __post_init__(self) -> None:
        """Refuse weights under which nothing is learned from the teacher.

        Raises:
            ValueError: one is negative, or all are zero.
        """
        values = (self.output, self.feature, self.relation)
        if min(values) < 0 or max(values) == 0:
            raise ValueError(f"distillation weights are {values}: none negative, not all zero")


@dataclass(frozen=True)
class Answer:
    """What a teacher makes of one batch.

    Attributes:
        output: (N, C, H, W).
        features: by the name of the teacher's layer.
    """

    output: Tensor
    features: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        tensors = (self.output, *self.features.values())
        return sum(t.numel() * t.element_size() for t in tensors)


class Distillation(nn.Module):
    """A `base.Teacher` that pulls a network towards a teacher.

    What it learns itself, the convolutions between the two kinds of features, is trained, saved
    and resumed with the network; the teacher is not.
    """

    def __init__(
        self,
        teacher: nn.Module,
        *,
        weights: TermWeights | None = None,
        taps: Mapping[str, str] | None = None,
        in_channels: int = 3,
        seed: int = 0,
        cache_gib: float = 0.0,
    ) -> None:
        """Take the teacher over; it is put into eval mode and never changed.

        Args:
            teacher: any trained module that takes the same inputs as the network.
            weights: of the terms; the output alone when None.
            taps: layers whose features are compared, the network's name of one -> the teacher's,
                as `named_modules` tells them.
            in_channels: of an input.
            seed: of the convolutions between features.
            cache_gib: memory for answers to batches that may come again, as those of
                `fixed_batches.FixedBatches` do.

        Raises:
            ValueError: features have a weight and no layer is named.
        """
        super().__init__()
        self._weights = TermWeights() if weights is None else weights
        self._taps = dict(taps or {})
        if (self._weights.feature or self._weights.relation) and not self._taps:
            raise ValueError(
                "features and relations are compared between named layers: give taps, as in "
                "{'layers.n3': 'layers.n5'}"
            )
        # Inside a tuple, so that it is no child: neither trained nor written to checkpoints.
        self._teacher = (teacher.eval().requires_grad_(False),)
        self._in_channels, self._seed = in_channels, seed
        self._seen: dict[str, Tensor] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._cache: OrderedDict[bytes, Answer] = OrderedDict()
        self._room = int(cache_gib * _GIB)
        self.adapters = nn.ModuleDict()

    @property
    def teacher(self) -> nn.Module:
        """Who is asked."""
        return self._teacher[0]

    def attach(self, network: nn.Module) -> None:
        """Listen to the named layers of the network and make the convolutions that are needed.

        Raises:
            ValueError: a layer that was named does not exist.
        """
        self.detach()
        layers = dict(network.named_modules())
        for name in self._taps:
            if name not in layers:
                raise ValueError(
                    f"the network has no layer '{name}'; it has "
                    f"{', '.join(key for key in layers if key)}"
                )
            self._hooks.append(layers[name].register_forward_hook(_keeping(self._seen, name)))
        if self._weights.feature:
            self._make_adapters(network)

    def detach(self) -> None:
        """Stop listening."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._seen.clear()

    @torch.no_grad()
    def _make_adapters(self, network: nn.Module) -> None:
        """One forward pass of both tells how many features there are."""
        device = next(network.parameters()).device
        example = torch.zeros(1, self._in_channels, _TRIED_SIZE, _TRIED_SIZE, device=device)
        training = network.training
        network.eval()(example)
        network.train(training)
        answer = self._ask(example)
        generator = torch.Generator().manual_seed(self._seed)
        for number, (name, source) in enumerate(self._taps.items()):
            own, wanted = self._seen[name].shape[1], answer.features[source].shape[1]
            adapter = nn.Conv2d(own, wanted, 1, bias=False)
            adapter.weight.normal_(0.0, own**-0.5, generator=generator)
            self.adapters[str(number)] = adapter
        self.adapters.to(device)

    def loss(self, inputs: Tensors, outputs: Tensors) -> Tensor:
        """The inputs and what the network has just made of them -> a float32 scalar.

        Raises:
            ValueError: the network has several inputs or outputs, or frames.
        """
        (image, *others), (prediction, *more) = inputs.values(), outputs.values()
        if others or more or image.ndim != 4:
            raise ValueError("a teacher is asked about single pictures: this task has other ports")
        answer = self.ask(image)
        total = prediction.new_zeros((), dtype=torch.float32)
        if self._weights.output:
            difference = prediction.float() - answer.output.float()
            total = total + self._weights.output * difference.abs().mean()
        for number, (name, source) in enumerate(self._taps.items()):
            own, wanted = _same_size(self._seen[name].float(), answer.features[source].float())
            if self._weights.feature:
                mapped = self.adapters[str(number)](own)
                error = (mapped - wanted).square().mean() / (wanted.square().mean() + 1e-8)
                total = total + self._weights.feature / len(self._taps) * error
            if self._weights.relation:
                error = (relations(own) - relations(wanted)).abs().mean()
                total = total + self._weights.relation / len(self._taps) * error
        return total

    def ask(self, inputs: Tensor) -> Answer:
        """The teacher's answer, from memory where the very same inputs have come before."""
        if not self._room:
            return self._ask(inputs)
        pixels = inputs.detach().cpu().contiguous().numpy()
        key = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
        if key not in self._cache:
            answer = self._ask(inputs)
            held = sum(a.size for a in self._cache.values())
            # What came first is not dropped for what comes later: batches come round in turn, and
            # the oldest would always be the next one wanted.
            if held + answer.size > self._room:
                return answer
            self._cache[key] = answer
        return self._cache[key]

    @torch.no_grad()
    def _ask(self, inputs: Tensor) -> Answer:
        teacher = self.teacher.to(inputs.device)
        found: dict[str, Tensor] = {}
        layers = dict(teacher.named_modules())
        sources = set(self._taps.values())
        for name in sources - set(layers):
            raise ValueError(
                f"the teacher has no layer '{name}'; it has "
                f"{', '.join(key for key in layers if key)}"
            )
        hooks = [layers[name].register_forward_hook(_keeping(found, name)) for name in sources]
        try:
            output = teacher(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return Answer(output, found)


def _keeping(store: dict[str, Tensor], name: str) -> Hook:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        store[name] = output

    return hook


def _same_size(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Average the larger pair of sides down to the smaller one: (N, C, h, w) twice."""
    height, width = (min(a, b) for a, b in zip(one.shape[2:], other.shape[2:], strict=True))
    size = (height, width)
    return functional.adaptive_avg_pool2d(one, size), functional.adaptive_avg_pool2d(other, size)


def relations(features: Tensor) -> Tensor:
    """Cosines between the features of all pairs of places: (N, C, h, w) -> (N, p, p)."""
    height, width = (min(side, _RELATED_PLACES) for side in features.shape[2:])
    places = functional.adaptive_avg_pool2d(features, (height, width)).flatten(2)
    unit = functional.normalize(places, dim=1)
    return unit.transpose(1, 2) @ unit
