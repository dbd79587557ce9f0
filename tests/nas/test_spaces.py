"""The space of a search, held against its task before anything is timed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nas.spaces import check_space, own_classes
from nas.target import Target
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Chooser
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.mobile import MobileSpace
from search_spaces.super_resolution import SuperResolutionSpace

TARGET = Target(height=64, width=96)


def task(**changed: Any) -> Any:
    fields = {"in_channels": 3, "out_channels": 3, "scale": 2, "crop": 32} | changed
    ports = one_to_one(fields["in_channels"], fields["out_channels"], fields["scale"])
    return SimpleNamespace(crop=fields["crop"], signature=ports)


class One:
    """A space of one network."""

    start = ()

    def __init__(self, channels: int = 3, scale: int = 2, reduction: str = "none") -> None:
        args = (("reduction", reduction),)
        blocks = (BlockSpec.of("conv", 8),)
        signature = one_to_one(channels, channels, scale)
        self._network = Architecture("upscaler", signature, blocks, args)

    def propose(self, chooser: Chooser) -> Architecture:
        return self._network


@pytest.mark.parametrize("space", [One(), SuperResolutionSpace(), EncoderDecoderSpace(scale=2)])
def test_a_space_that_suits_the_task_passes(space: Any) -> None:
    check_space(space, task(), TARGET)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (One(channels=1), "of 1 input channels, and the task has 3: for .* give task.planes=luma"),
        (One(scale=3), "3 channels of 96x96 of a 32x32 input, and the task needs 3 channels"),
        (EncoderDecoderSpace(out_channels=1), "make 1 channels of 32x32"),
        (MobileSpace(), "make scores of 1000 classes of a 32x32 input"),
        (SuperResolutionSpace(planes="ycbcr420"), "networks of 6 input channels"),
        (object(), "search_space is object, which has no 'propose'"),
    ],
)
def test_a_space_of_other_networks_is_refused_with_what_they_make(space: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_space(space, task(), TARGET)


def test_a_space_whose_starts_are_not_told_is_refused() -> None:
    silent = SimpleNamespace(propose=One().propose)
    with pytest.raises(ValueError, match="no 'start'.*the choices to try first, \\(\\) for none"):
        check_space(silent, task(), TARGET)  # type: ignore[arg-type]


def test_an_input_that_no_network_takes_is_refused_before_all_of_them_are_tried() -> None:
    halved = One(reduction="strided")
    with pytest.raises(ValueError, match="no network of search_space takes a 63x96 input .target"):
        check_space(halved, task(), Target(height=63, width=96))
    with pytest.raises(ValueError, match="takes a 31x31 input .task.crop"):
        check_space(halved, task(crop=31), TARGET)
    # Some of these keep their size: the search rejects the others one by one.
    check_space(SuperResolutionSpace(), task(), Target(height=63, width=96))


def test_a_class_of_ones_own_takes_the_place_of_the_default_space_and_its_fields() -> None:
    given = ["target.height=48", "search_space._target_=my.Space", "search_space.depth=3"]
    assert own_classes(given) == [
        "~search_space", "target.height=48", "+search_space._target_=my.Space",
        "+search_space.depth=3",
    ]


def test_a_policy_of_ones_own_takes_the_place_of_the_default_one() -> None:
    given = ["policy._target_=my.Policy", "policy.depth=3", "search_space._target_=my.Space"]
    assert own_classes(given) == [
        "~policy", "~search_space", "+policy._target_=my.Policy", "+policy.depth=3",
        "+search_space._target_=my.Space",
    ]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["sampler=nsga2"], ["policy=optuna", "sampler=nsga2"]),
        (["sampler.group=true"], ["policy=optuna", "++sampler.group=true"]),
        (["+sampler.group=true"], ["policy=optuna", "+sampler.group=true"]),
        (["policy=optuna", "sampler=gp"], ["policy=optuna", "sampler=gp"]),
        (["policy=random", "sampler=gp"], ["policy=random", "sampler=gp"]),
        (["sampler._target_=my.Sampler", "sampler.depth=3"],
         ["~sampler", "policy=optuna", "+sampler._target_=my.Sampler", "+sampler.depth=3"]),
    ],
)
def test_who_speaks_of_a_sampler_means_the_policy_that_takes_one(
    given: list[str], meant: list[str]
) -> None:
    assert own_classes(given) == meant


@pytest.mark.parametrize(
    "given",
    [
        ["search_space.kernels=[3]"],
        ["search_space=encoder_decoder", "search_space._target_=my.Space"],
        ["--help"],
    ],
)
def test_other_command_lines_stay_as_they_are(given: list[str]) -> None:
    assert own_classes(given) == given
