"""A loss that learns: a small discriminator tells predictions from targets, patch by patch."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus
from torch.nn.utils.parametrizations import spectral_norm

from trainers.losses.base import Term, same_shape


class PatchDiscriminator(nn.Module):
    """One logit per patch: positive for what looks like a target.

    Source: Isola et al., "Image-to-image translation with conditional adversarial networks",
    2017; spectral normalisation (Miyato et al., 2018) in the place of batch normalisation.
    A patch is 22 pixels wide with two halvings, 46 with three.
    """

    def __init__(self, *, channels: int, width: int, halvings: int, seed: int) -> None:
        """Draw the weights.

        Args:
            channels: of an image.
            width: channels after the first convolution; each halving doubles them.
            halvings: convolutions of stride 2.
            seed: of the weights.
        """
        super().__init__()
        widths = [width * 2**k for k in range(halvings)]
        # The caller's random state is left as it was: a loss must not change what a seed means.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inner = [
                spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1))
                for before, after in zip([channels, *widths], widths, strict=False)
            ]
            last = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.inner, self.last = nn.ModuleList(inner), last

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) in [0, 1] -> (N, 1, h, w)."""
        x = 2 * images - 1
        for convolution in self.inner:
            x = leaky_relu(convolution(x), 0.2)
        logits: Tensor = self.last(x)
        return logits


@dataclass(frozen=True, kw_only=True, eq=False)
class Adversarial(Term):
    """The non-saturating loss against a patch discriminator, which has its own optimizer.

    Source: Goodfellow et al., "Generative adversarial nets", 2014: the network minimises
    softplus(-D(prediction)), the discriminator softplus(-D(target)) + softplus(D(prediction)).
    Neither is ever negative. Give it a small weight beside a term that compares (ESRGAN, 2018,
    uses 0.005 beside an L1 of 0.01 and a content loss of 1), and expect PSNR to fall.

    It follows `losses.base.LearningTerm`: the training loop calls `for_training` once and `learn`
    before every step.

    Attributes:
        channels: of an image.
        width: channels after the discriminator's first convolution.
        halvings: its convolutions of stride 2, which set the size of a patch.
        learning_rate: of its Adam.
        seed: of its weights.
    """

    channels: int = 3
    width: int = 32
    halvings: int = 3
    learning_rate: float = 2e-4
    seed: int = 0
    discriminator: PatchDiscriminator = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    least_at_equality = False

    def __post_init__(self) -> None:
        """Make the discriminator and its optimizer.

        Raises:
            ValueError: a setting is not positive.
        """
        super().__post_init__()
        for name in ("channels", "width", "halvings", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"Adversarial's {name} is {getattr(self, name)}: use more than 0")
        discriminator = PatchDiscriminator(
            channels=self.channels, width=self.width, halvings=self.halvings, seed=self.seed
        )
        parameters = list(discriminator.parameters())
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate, betas=(0.5, 0.99))
        discriminator.requires_grad_(False)
        # The fields are set once, here; a frozen dataclass allows it in no other way.
        object.__setattr__(self, "discriminator", discriminator)
        object.__setattr__(self, "optimizer", optimizer)

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What the network minimises: (N, C, H, W) twice -> a scalar; the target is ignored.

        Raises:
            RuntimeError: a network is being trained against a discriminator that never learned.
        """
        if torch.is_grad_enabled() and not self.optimizer.state:
            raise RuntimeError(
                "the adversary has not learned yet: whoever trains with this loss must call "
                "for_training(seed) once and learn(prediction, target) before each step"
            )
        return softplus(-self._on(prediction)(prediction)).mean()

    def discriminator_loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What the discriminator minimises: (N, C, H, W) twice -> a scalar."""
        same_shape(prediction, target)
        discriminator = self._on(prediction)
        with torch.autocast(prediction.device.type, enabled=False):
            made = discriminator(prediction.detach().float())
            real = discriminator(target.detach().float())
            return softplus(-real).mean() + softplus(made).mean()

    def learn(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """One step of the discriminator, its weights changed in place.

        Call it before the network's own loss is computed, not between that and its backward pass,
        which needs the weights it was computed with.
        """
        if prediction.ndim == 5:
            prediction, target = prediction.flatten(0, 1), target.flatten(0, 1)
        self.discriminator.train().requires_grad_(True)
        try:
            with torch.enable_grad():
                loss = self.discriminator_loss(prediction, target)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
        finally:
            self.discriminator.eval().requires_grad_(False)
        return {"discriminator": loss.detach()}

    def for_training(self, seed: int) -> Self:
        """A fresh discriminator with weights of this seed and of the term's own."""
        return replace(self, seed=self.seed + 1_000_003 * (seed + 1))

    def state_dict(self) -> dict[str, Any]:
        """The discriminator and its optimizer."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put both back."""
        self.discriminator.load_state_dict(state["discriminator"])
        # Torch would share the averages with whoever holds this state.
        self.optimizer.load_state_dict(deepcopy(state["optimizer"]))

    def _on(self, images: Tensor) -> PatchDiscriminator:
        if next(self.discriminator.parameters()).device != images.device:
            self.discriminator.to(images.device)
            # A state that was loaded before the first batch lies where the weights were.
            for averages in self.optimizer.state.values():
                for name in ("exp_avg", "exp_avg_sq"):
                    averages[name] = averages[name].to(images.device)
        return self.discriminator
