"""Training-time branches: sums of small linear layers that fold into one convolution.

A branched convolution trains better than a plain one and is the same network when it ships. All
branches are linear, so they are summed as weights and not as feature maps: a training step costs
one convolution plus some small products, and folding is the very sum that was trained.

Sources: the edge-oriented block of ECBSR (Zhang et al., ACM MM 2021), the collapsible blocks of
SESR (Bhardwaj et al., MLSys 2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from search_spaces.base import UnknownName
from search_spaces.primitives import Conv

FORMS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "parallel": ("parallel",),
    "edge": ("pointwise", "sobel_x", "sobel_y", "laplacian", "identity"),
    "expand": ("expand", "identity"),
}
"""By name, the branches beside the convolution itself."""
MASKS = {
    "sobel_x": ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0)),
    "sobel_y": ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0)),
    "laplacian": ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0)),
}
EXPANDED = 256
"""Features between the two layers of an `expand` branch, all groups together, as in SESR."""
POINTWISE_RATIO = 2
"""Features between the two layers of a `pointwise` branch per output, as in ECBSR."""


class Branch(nn.Module, ABC):
    """One branch: its parameters, and the weight (C_out, C_in/g, kh, kw) it amounts to."""

    @abstractmethod
    def weight(self) -> Tensor:
        """The convolution's weight that this branch is."""


def _drawn(generator: torch.Generator, deviation: float, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).normal_(0.0, deviation, generator=generator))


class TwoLayers(Branch):
    """`expand`: k x k to many features, then 1x1; `pointwise`: 1x1, then k x k."""

    def __init__(
        self, node: Conv, shape: torch.Size, deviation: float, generator: torch.Generator,
        *, kind: str,
    ) -> None:
        super().__init__()
        out, inputs, rows, columns = shape
        groups, self.kind, self.shape = node.groups, kind, shape
        inner = max(1, (EXPANDED if kind == "expand" else POINTWISE_RATIO * out) // groups)
        enter, leave = (groups, inner, inputs), (groups, out // groups, inner)
        sides = (rows, columns)
        before, after = (sides, ()) if kind == "expand" else ((), sides)
        # The products then spread as the plain weight does.
        spread = deviation**0.5 / inner**0.25
        self.first = _drawn(generator, spread, *enter, *before)
        self.second = _drawn(generator, spread, *leave, *after)

    def weight(self) -> Tensor:
        products = "gom,gmiyx->goiyx" if self.kind == "expand" else "gomyx,gmi->goiyx"
        product: Tensor = torch.einsum(products, self.second, self.first)
        return product.reshape(self.shape)


class Masked(Branch):
    """1x1, then one fixed 3x3 filter times a learned scale per output channel."""

    mask: Tensor

    def __init__(
        self, shape: torch.Size, deviation: float, generator: torch.Generator, *, kind: str
    ) -> None:
        super().__init__()
        out, inputs, rows, columns = shape
        mask = torch.zeros(rows, columns)
        top, left = rows // 2 - 1, columns // 2 - 1
        mask[top : top + 3, left : left + 3] = torch.tensor(MASKS[kind])
        self.register_buffer("mask", mask)
        self.first = _drawn(generator, deviation**0.5, out, inputs)
        self.scale = _drawn(generator, deviation**0.5, out)

    def weight(self) -> Tensor:
        taps = self.first * self.scale[:, None]
        return taps[:, :, None, None] * self.mask


class Identity(Branch):
    """The input itself, times a learned scale per channel."""

    centre: Tensor

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        out, inputs, rows, columns = shape
        centre = torch.zeros(shape)
        every = torch.arange(out)
        centre[every, every % inputs, rows // 2, columns // 2] = 1.0
        self.register_buffer("centre", centre)
        self.scale = nn.Parameter(torch.ones(out))

    def weight(self) -> Tensor:
        return self.scale[:, None, None, None] * self.centre


class Parallel(Branch):
    """A second convolution of the same size."""

    def __init__(
        self, shape: torch.Size, deviation: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.kernel = _drawn(generator, deviation, *shape)

    def weight(self) -> Tensor:
        return self.kernel


class BranchSum(nn.Module):
    """The weight of a branched convolution: its own kernel plus what each branch amounts to."""

    def __init__(self, branches: list[Branch]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, kernel: Tensor) -> Tensor:
        for branch in self.branches:
            assert isinstance(branch, Branch)
            kernel = kernel + branch.weight()
        return kernel

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The kernel with which the sum is this weight."""
        with torch.no_grad():
            others: Tensor = self(weight) - weight
            return weight - others


def branches_for(
    form: str, node: Conv, shape: torch.Size, deviation: float, generator: torch.Generator,
    *, square: bool,
) -> list[Branch]:
    """The branches of this form that fit one convolution; none where none does.

    Args:
        shape: of its weight.
        deviation: how widely the plain weight is drawn; each branch is drawn as widely.
        square: the layer has as many outputs as inputs at the same size, so it can pass its
            input through.

    Raises:
        UnknownName: no such form.
    """
    if form not in FORMS:
        raise UnknownName("form of branches", form, list(FORMS))
    side = min(node.kernel)
    found: list[Branch] = []
    for kind in FORMS[form]:
        if kind == "identity" and square:
            found.append(Identity(shape))
        elif kind == "parallel":
            found.append(Parallel(shape, deviation, generator))
        elif kind in MASKS and side >= 3:
            found.append(Masked(shape, deviation, generator, kind=kind))
        elif kind == "expand" or (kind == "pointwise" and max(node.kernel) > 1):
            found.append(TwoLayers(node, shape, deviation, generator, kind=kind))
    return found


def branch(layer: nn.Module, branches: list[Branch]) -> None:
    """Give a layer's `weight` these branches; its value does not change by that."""
    if branches:
        parametrize.register_parametrization(layer, "weight", BranchSum(branches))


def is_branched(layer: nn.Module) -> bool:
    """Whether the layer's weight is a sum of branches."""
    return bool(parametrize.is_parametrized(layer, "weight"))
