"""Losses of the luma alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pixel_shuffle

from trainers.losses.base import LearningTerm, Term
from trainers.metrics.pixels import LUMA, PHASES


@dataclass(frozen=True, kw_only=True, eq=False)
class Luma(Term):
    """Another term, of the luma of both pictures.

    Three planes of RGB count alike in an ordinary loss, and so do errors of colour that neither
    PSNR-Y nor eyes see well: what a small network spends on them it lacks elsewhere. Put it beside
    a term with a small weight that holds the colours.

    Attributes:
        of: what compares the two lumas, (N, 1, H, W) in [0, 1]; its own weight counts too.
    """

    of: Term

    def __post_init__(self) -> None:
        """Refuse a term that needs more than two pictures.

        Raises:
            ValueError: the weight is not positive, or `of` learns or takes clips.
        """
        super().__post_init__()
        if isinstance(self.of, LearningTerm) or self.of.takes_clips:
            raise ValueError(
                f"{type(self.of).__name__} cannot be taken of the luma: "
                "use a term that compares two pictures"
            )

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """RGB, luma or a decoder's planes, (N, C, H, W) twice -> a scalar."""
        return self.of.weight * self.of.compare(_luma(prediction), _luma(target))


def _luma(images: Tensor) -> Tensor:
    """(N, 3, H, W), (N, 1, H, W) or (N, 6, H / 2, W / 2) -> (N, 1, H, W): BT.601, 0 to 1.

    Raises:
        ValueError: another number of channels.
    """
    match images.shape[1]:
        case 1:
            return images
        case 3:
            # With plain numbers: a tensor of them would be sent to the device at every step.
            red, green, blue = (images[:, i : i + 1] * (w / sum(LUMA)) for i, w in enumerate(LUMA))
            return red + green + blue
        case channels if channels == PHASES + 2:
            return pixel_shuffle(images[:, :PHASES], 2)
        case channels:
            raise ValueError(f"pictures of {channels} channels have no luma: 1, 3 or 6 are known")
