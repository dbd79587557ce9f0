"""What holds for every loss there is: the terms of `conf/task/loss`, and those without a file."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
import torch
from found import CONF, options
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

import trainers.losses
from tests.trainers.feature_networks import random_network, two_images
from trainers.features.distance import uncalibrated
from trainers.losses.base import LearningTerm, Term
from trainers.losses.frequency import HFEN, FocalFrequency, Laplacian, Sobel
from trainers.losses.luma import Luma
from trainers.losses.perceptual import Style
from trainers.losses.pixel import L1, TotalVariation
from trainers.losses.structure import SSIM
from trainers.losses.temporal import WarpingError
from trainers.losses.terms import Terms

SIDE = 64
"""Of the crops of the default search, after it has enlarged them."""
WITHOUT_FILE: dict[type[Term], Callable[[], Term]] = {
    TotalVariation: TotalVariation,
    Sobel: Sobel,
    Laplacian: Laplacian,
    SSIM: SSIM,
    Style: lambda: Style(network=random_network(), layers={"fire3": 1e6}),
    WarpingError: WarpingError,
}


def _in_files() -> dict[str, Any]:
    """The settings of every term that a file names, each once."""
    found: dict[str, Any] = {}
    for file in options("task/loss"):
        terms = OmegaConf.load(CONF / "task" / "loss" / f"{file}.yaml").terms
        for name, term in terms.items():
            if term not in found.values():
                found[f"{file}: {name}"] = term
    return found


IN_FILES = _in_files()
NAMES = [*IN_FILES, *(kind.__name__ for kind in WITHOUT_FILE)]
each = pytest.mark.parametrize("name", NAMES)


@contextmanager
def unlearned() -> Iterator[None]:
    """Features of random filters, where the published ones would have to be downloaded."""
    distance = uncalibrated(random_network(), ("relu1", "fire5"))
    with (
        patch("trainers.features.network.published", lambda name, path: random_network(name)),
        patch("trainers.features.distance.lpips", lambda name, linear, path: distance),
    ):
        yield


def example(name: str) -> Term:
    """A term as a training has it."""
    if name not in IN_FILES:
        return {kind.__name__: make for kind, make in WITHOUT_FILE.items()}[name]()
    with unlearned():
        term: Term = instantiate(IN_FILES[name], _convert_="all")
    if isinstance(term, LearningTerm):
        term = term.for_training(0)
        term.learn(*images())
    return term


def images() -> tuple[Tensor, Tensor]:
    return two_images(SIDE)


def images_for(*terms: Term) -> tuple[Tensor, Tensor]:
    prediction, target = images()
    if any(term.takes_clips for term in terms):
        # A clip of two frames; half of it twice, so that there is something still in it.
        return prediction[None], target[:1].expand_as(target)[None]
    return prediction, target


def test_every_loss_there_is_has_a_file_or_an_example() -> None:
    found = set()
    for part in pkgutil.iter_modules(trainers.losses.__path__):
        module = importlib.import_module(f"trainers.losses.{part.name}")
        found |= {
            kind for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, Term) and not inspect.isabstract(kind)
        }  # fmt: skip
    named = {term["_target_"] for term in IN_FILES.values()}
    alone = {kind for kind in found if f"{kind.__module__}.{kind.__name__}" not in named}
    assert alone == set(WITHOUT_FILE)


@pytest.mark.parametrize("file", options("task/loss"))
def test_a_whole_file_is_a_loss_with_a_gradient(file: str) -> None:
    described = OmegaConf.load(CONF / "task" / "loss" / f"{file}.yaml")
    with unlearned():
        loss = instantiate(described, _convert_="all")
        terms = instantiate(described.terms, _convert_="all")
    assert isinstance(loss, Terms)
    loss = loss.for_training(0)
    prediction, target = images_for(*terms.values())
    loss.learn(prediction, target)
    leaf = prediction.clone().requires_grad_()
    value = loss(leaf, target)
    value.backward()
    assert value.item() > 0
    assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.any()


@each
def test_it_is_a_scalar_and_never_negative(name: str) -> None:
    term = example(name)
    value = term(*images_for(term))
    assert value.shape == () and value.dtype == torch.float32
    assert value.item() > 0


@each
def test_it_is_zero_only_at_equality(name: str) -> None:
    term = example(name)
    if not term.least_at_equality:
        pytest.skip("a regulariser or an opponent, whose least is elsewhere")
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
    prediction, target = images()
    if term.takes_clips:
        with pytest.raises(ValueError, match="clips"):
            term(prediction, target)
    else:
        clip = term(prediction[None], target[None])
        assert clip.item() == pytest.approx(term(prediction, target).item())


@pytest.mark.slow
def test_a_compiler_takes_them_whole() -> None:
    several = {"l1": L1(), "luma": Luma(of=L1()), "hfen": HFEN(), "ssim": SSIM(),
               "spectrum": FocalFrequency(), "adversary": example("adversarial: adversary")}
    terms = Terms(several)
    prediction, target = two_images()
    torch.compiler.reset()
    compiled = torch.compile(terms.__call__, backend="eager", fullgraph=True)
    value = compiled(prediction.requires_grad_(), target)
    assert value.item() == pytest.approx(terms(prediction, target).item())
