"""What holds for every loss there is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import trainers.losses
from tests.trainers.feature_networks import random_network, two_images
from trainers.features.distance import uncalibrated
from trainers.losses.adversarial import Adversarial
from trainers.losses.base import Term
from trainers.losses.frequency import HFEN, FocalFrequency, Gradient, Laplacian, Sobel
from trainers.losses.luma import Luma
from trainers.losses.perceptual import Content, Perceptual, Style
from trainers.losses.pixel import L1, Charbonnier, SquaredError, TotalVariation
from trainers.losses.structure import SSIM, MultiScaleSSIM
from trainers.losses.temporal import TemporalConsistency, WarpingError
from trainers.losses.terms import Terms

Make = Callable[[], Term]


def adversary() -> Adversarial:
    term = Adversarial(width=8).for_training(0)
    term.learn(*two_images())
    return term


EXAMPLES: dict[type[Term], Make] = {
    L1: L1,
    SquaredError: SquaredError,
    Charbonnier: Charbonnier,
    TotalVariation: TotalVariation,
    Gradient: Gradient,
    Sobel: Sobel,
    Laplacian: Laplacian,
    HFEN: HFEN,
    Luma: lambda: Luma(of=L1()),
    FocalFrequency: FocalFrequency,
    SSIM: SSIM,
    MultiScaleSSIM: lambda: MultiScaleSSIM(scales=2),
    Content: lambda: Content(network=random_network(), layers={"relu1": 1.0, "fire5": 2.0}),
    Style: lambda: Style(network=random_network(), layers={"fire3": 1e6}),
    Perceptual: lambda: Perceptual(distance=uncalibrated(random_network(), ("relu1", "fire5"))),
    Adversarial: adversary,
    TemporalConsistency: TemporalConsistency,
    WarpingError: WarpingError,
}
NAMES = {kind.__name__: kind for kind in EXAMPLES}
each = pytest.mark.parametrize("name", NAMES)
each_comparing = pytest.mark.parametrize(
    "name", [name for name, kind in NAMES.items() if kind.least_at_equality]
)


def example(name: str) -> Term:
    return EXAMPLES[NAMES[name]]()


def images_for(term: Term) -> tuple[Tensor, Tensor]:
    prediction, target = two_images()
    if term.takes_clips:
        # A clip of two frames; half of it twice, so that there is something still in it.
        return prediction[None], target[:1].expand_as(target)[None]
    return prediction, target


def test_every_loss_there_is_has_an_example_here() -> None:
    found = set()
    for part in pkgutil.iter_modules(trainers.losses.__path__):
        module = importlib.import_module(f"trainers.losses.{part.name}")
        found |= {
            kind for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, Term) and not inspect.isabstract(kind)
        }  # fmt: skip
    assert found == set(EXAMPLES)


@each
def test_it_is_a_scalar_and_never_negative(name: str) -> None:
    term = example(name)
    value = term(*images_for(term))
    assert value.shape == () and value.dtype == torch.float32
    assert value.item() > 0


@each_comparing
def test_it_is_zero_only_at_equality(name: str) -> None:
    term = example(name)
    prediction, target = images_for(term)
    assert term(target, target).item() == pytest.approx(0.0, abs=1e-6)
    nearer = target + 0.5 * (prediction - target)
    assert term(prediction, target) > term(nearer, target) > 1e-6


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_its_gradient_is_finite_in_every_precision_even_at_equality(
    name: str, dtype: torch.dtype
) -> None:
    term = example(name)
    prediction, target = images_for(term)
    for start in (prediction, target, torch.zeros_like(target)):
        leaf = start.to(dtype).requires_grad_()
        term(leaf, target.to(dtype)).backward()
        assert leaf.grad is not None and leaf.grad.dtype == dtype
        assert torch.isfinite(leaf.grad).all()


@each
def test_its_gradient_points_downhill(name: str) -> None:
    term = example(name)
    start, target = images_for(term)
    leaf = start.clone().requires_grad_()
    before = term(leaf, target)
    before.backward()
    assert leaf.grad is not None
    with torch.no_grad():
        after = term(leaf - 1e-3 * leaf.grad / leaf.grad.abs().max(), target)
    assert after < before


@each
def test_autocast_changes_nothing(name: str) -> None:
    term = example(name)
    prediction, target = images_for(term)
    expected = term(prediction, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = term(prediction, target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), rel=1e-6)


@each
def test_half_precision_inputs_give_nearly_the_same_loss(name: str) -> None:
    term = example(name)
    prediction, target = images_for(term)
    half = term(prediction.half(), target.half())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(term(prediction, target).item(), rel=0.02)


@each
def test_images_of_two_shapes_are_refused(name: str) -> None:
    term = example(name)
    prediction, target = images_for(term)
    with pytest.raises(ValueError, match="one size"):
        term(prediction, target[..., :1])


@each
def test_it_draws_nothing_from_the_random_state_of_a_training(name: str) -> None:
    before = torch.get_rng_state()
    term = example(name)
    term(*images_for(term))
    assert torch.equal(before, torch.get_rng_state())


@each
def test_a_clip_is_taken_apart_unless_its_frames_belong_together(name: str) -> None:
    term = example(name)
    prediction, target = two_images()
    if term.takes_clips:
        with pytest.raises(ValueError, match="clips"):
            term(prediction, target)
    else:
        clip = term(prediction[None], target[None])
        assert clip.item() == pytest.approx(term(prediction, target).item())


@pytest.mark.slow
def test_a_compiler_takes_them_whole() -> None:
    kinds = (L1, Luma, HFEN, FocalFrequency, SSIM, Adversarial)
    terms = Terms({kind.__name__: EXAMPLES[kind]() for kind in kinds})
    prediction, target = two_images()
    torch.compiler.reset()
    compiled = torch.compile(terms.__call__, backend="eager", fullgraph=True)
    value = compiled(prediction.requires_grad_(), target)
    assert value.item() == pytest.approx(terms(prediction, target).item())


def test_every_loss_can_be_a_term_of_one() -> None:
    still = {name: example(name) for name, kind in NAMES.items() if not kind.takes_clips}
    prediction, target = two_images()
    parts = Terms(still).parts(prediction, target)
    assert set(parts) == set(still)
