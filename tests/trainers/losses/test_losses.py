import pytest
import torch

from trainers.base import Loss
from trainers.losses.frequency import Gradient, Laplacian
from trainers.losses.pixel import L1, Charbonnier, SquaredError
from trainers.losses.terms import Terms

LOSSES: list[Loss] = [
    L1(),
    SquaredError(),
    Charbonnier(),
    Gradient(),
    Laplacian(),
    Terms({"charbonnier": (1.0, Charbonnier()), "gradient": (0.1, Gradient())}),
]
each = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


def two_images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(2, 3, 8, 8, generator=generator) for _ in range(2))  # type: ignore[return-value]


@each
def test_it_is_a_scalar_and_zero_only_at_equality(loss: Loss) -> None:
    prediction, target = two_images()
    assert loss(prediction, target).shape == ()
    assert loss(target, target).item() == pytest.approx(0.0, abs=1e-7)
    assert loss(prediction, target) > loss(target + 0.5 * (prediction - target), target) > 0


@each
def test_its_gradient_is_finite_even_at_equality(loss: Loss) -> None:
    for start in two_images():
        prediction = start.clone().requires_grad_()
        loss(prediction, start.detach()).backward()
        assert prediction.grad is not None
        assert torch.isfinite(prediction.grad).all()


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_inputs_give_nearly_the_same_loss(loss: Loss, dtype: torch.dtype) -> None:
    prediction, target = two_images()
    half = loss(prediction.to(dtype), target.to(dtype))
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(loss(prediction, target).item(), rel=0.02)


def test_charbonnier_is_the_absolute_difference_far_from_zero() -> None:
    zero = torch.zeros(1, 3, 4, 4)
    assert Charbonnier()(zero + 0.5, zero).item() == pytest.approx(0.499, abs=1e-5)


def test_frequency_losses_ignore_a_constant_offset() -> None:
    _, target = two_images()
    assert Gradient()(target + 0.1, target).item() == pytest.approx(0.0, abs=1e-6)
    assert Laplacian()(target + 0.1, target).item() == pytest.approx(0.0, abs=1e-6)


def test_terms_add_up_to_the_whole() -> None:
    prediction, target = two_images()
    terms = Terms({"pixel": (2.0, L1()), "edges": (0.5, Gradient())})
    parts = terms.parts(prediction, target)
    assert parts["pixel"].item() == pytest.approx(2 * L1()(prediction, target).item())
    assert terms(prediction, target).item() == pytest.approx(sum(p.item() for p in parts.values()))


def test_a_loss_without_terms_or_with_a_useless_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        Terms({})
    with pytest.raises(ValueError, match="'edges' is 0"):
        Terms({"edges": (0, Gradient())})
