from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from trainers.data.degradations.base import Degradation
from trainers.data.degradations.blur import GaussianBlur
from trainers.data.degradations.mixed import Chain, OneOf, Shuffled
from trainers.data.degradations.noise import GaussianNoise
from trainers.data.degradations.resize import Area, Bicubic
from trainers.data.degradations.rounding import Rounded
from trainers.data.draws import Draws


@dataclass(frozen=True)
class Affine:
    """A degradation whose order shows: times a factor, plus a shift."""

    factor: float
    shift: float
    scale: int = 1
    margin: int = 0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        return images * self.factor + self.shift


DOUBLE, ADD = Affine(2.0, 0.0), Affine(1.0, 1.0)
ONES = torch.ones(600, 1, 2, 2)


def test_a_chain_is_one_after_the_other() -> None:
    assert torch.all(Chain([DOUBLE, ADD])(ONES, Draws.of(0)) == 3)
    assert torch.all(Chain([ADD, DOUBLE])(ONES, Draws.of(0)) == 4)


def test_a_chain_multiplies_scales_and_adds_margins_in_pixels_of_its_input() -> None:
    chain = Chain([GaussianBlur(radius=5), Bicubic(2), GaussianBlur(radius=3), Area(2)])
    assert chain.scale == 4
    assert chain.margin == 5 + 4 + 2 * 3


def test_one_of_several_is_chosen_for_each_image_by_weight() -> None:
    out = OneOf([DOUBLE, ADD, Affine(0.0, 7.0)], weights=[1.0, 0.0, 3.0])(ONES, Draws.of(0))
    chosen = out[:, 0, 0, 0]
    # Twice one and one plus one are both two, but the second has no weight.
    assert set(chosen.tolist()) == {2.0, 7.0}
    assert (chosen == 7.0).float().mean().item() == pytest.approx(0.75, abs=0.1)


def test_an_empty_chain_leaves_an_image_as_it_is() -> None:
    out = OneOf([Chain([]), Affine(0.0, 0.0)])(ONES, Draws.of(0))
    assert set(out.flatten().tolist()) == {0.0, 1.0}


def test_reductions_of_one_scale_can_be_chosen_from() -> None:
    out = OneOf([Bicubic(2), Area(2)])(torch.rand(8, 3, 12, 12), Draws.of(0))
    assert out.shape == (8, 3, 6, 6)


def test_a_random_order_takes_every_order_for_some_image() -> None:
    three = Affine(3.0, 0.5)
    orders = ((a, b, c) for a in (DOUBLE, ADD, three) for b in (DOUBLE, ADD, three)
              for c in (DOUBLE, ADD, three) if len({a, b, c}) == 3)  # fmt: skip
    expected = {round(Chain(order)(ONES[:1], Draws.of(0)).mean().item(), 4) for order in orders}
    out = Shuffled([DOUBLE, ADD, three])(ONES, Draws.of(0))
    assert {round(value, 4) for value in out[:, 0, 0, 0].tolist()} == expected


def test_frames_of_a_clip_share_choice_and_order() -> None:
    for mixed in (OneOf([DOUBLE, Affine(0.0, 7.0)]), Shuffled([DOUBLE, ADD])):
        out = mixed(ONES, Draws.of(0, repeat=3))[:, 0, 0, 0].view(200, 3)
        assert torch.all(out == out[:, :1])
        assert len(set(out.flatten().tolist())) == 2


@pytest.mark.parametrize("mixed", [
    lambda: OneOf([Bicubic(2), GaussianNoise()]), lambda: OneOf([]),
    lambda: OneOf([DOUBLE, ADD], weights=[1.0]), lambda: OneOf([DOUBLE], weights=[-1.0]),
    lambda: Shuffled([Bicubic(2), GaussianNoise()]),
])  # fmt: skip
def test_parts_that_do_not_fit_together_are_refused(mixed: object) -> None:
    assert callable(mixed)
    with pytest.raises(ValueError, match="scale|weights"):
        mixed()


def test_rounding_clips_and_rounds_halves_up() -> None:
    levels: Degradation = Rounded(8)
    image = torch.tensor([-0.1, 0.5 / 255, 0.49 / 255, 2.0]).view(1, 1, 2, 2)
    assert (levels(image, Draws.of(0)) * 255).round().flatten().tolist() == [0, 1, 0, 255]
