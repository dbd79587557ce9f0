"""A plain stack begins as the upsampler that its last kernel holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime.signature import one_to_one
from search_spaces import picture_path as module
from search_spaces.base import Architecture, BlockSpec
from search_spaces.branches import is_branched
from search_spaces.fake_quantize import prepare
from search_spaces.fixed_kernels import kernel_size, phases
from search_spaces.graph import Graph
from search_spaces.modules import build, fold
from search_spaces.picture_path import picture_path
from search_spaces.references import reference
from search_spaces.skeletons import lower

STEM = BlockSpec.of("conv", 8)
PICTURE = torch.rand(1, 1, 12, 16, generator=torch.Generator().manual_seed(0))


def enlarged(image: Tensor, name: str, factor: int) -> Tensor:
    """By the fixed upsamplers' own filters."""
    weight = torch.from_numpy(phases(name, factor, image.shape[1]))
    low = nn.functional.conv2d(image, weight, padding=kernel_size(name) // 2)
    return nn.functional.pixel_shuffle(low, factor)


def start_of(graph: Graph, monkeypatch: pytest.MonkeyPatch, **options: Any) -> nn.Module:
    """The network without the noise beside the picture."""
    monkeypatch.setattr(module, "PASSED_GAIN", 0.0)
    return build(graph, seed=0, **options)


@pytest.mark.parametrize(
    ("name", "scale", "upsampler"),
    [
        ("fsrcnn_y", 2, "bicubic"),
        ("fsrcnn_y", 3, "bilinear"),
        ("fsrcnn_y", 4, "nearest"),
        ("espcn_y", 2, "bilinear"),
        ("espcn", 2, "bilinear"),
        ("etds_t", 3, "nearest"),
    ],
)
def test_published_stacks_begin_as_an_upsampler(
    name: str, scale: int, upsampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = reference(name, scale)
    image = PICTURE.repeat(1, architecture.in_channels, 1, 1)
    with torch.inference_mode():
        made = start_of(lower(architecture), monkeypatch)(image)
    # Without ReLUs the picture travels about zero, and so does its padding.
    middle = 0.0 if name.startswith("etds") else 0.5
    expected = enlarged(image - middle, upsampler, scale) + middle
    tolerance = 0.02 if name.startswith("espcn") else 1e-5
    torch.testing.assert_close(made, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", ["fsrcnn_y", "espcn_y"])
def test_a_picture_that_is_carried_several_times_loses_less_to_int8(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = lower(reference(name, 2))

    def error() -> float:
        network = start_of(graph, monkeypatch).eval()
        quantized = prepare(network, tensors_first=True).eval()
        with torch.no_grad():
            for step in ("start_calibration", "finish_calibration"):
                for part in (quantized, *quantized.tensors.values()):
                    getattr(part, step)()
                made = quantized(PICTURE)
            return float((made - network(PICTURE)).square().mean())

    several = error()
    monkeypatch.setattr(module, "_COPY_EVERY", 1000)
    assert several < 0.5 * error()


@pytest.mark.parametrize("int8", [True, False])
def test_what_stays_in_float_carries_the_picture_once(int8: bool) -> None:
    network = build(lower(reference("fsrcnn_y", 2)), seed=0, int8=int8)
    first = network.weighted(1)
    assert first.slope is not None
    assert int((first.slope == 1.0).sum()) == (9 if int8 else 1)


def test_a_stack_on_an_enlarged_picture_begins_as_that_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = lower(reference("srcnn", 2))
    with torch.inference_mode():
        made = start_of(graph, monkeypatch)(PICTURE)
    expected = enlarged(PICTURE, "bicubic", 2).clamp_min(0)  # its layers begin with ReLU
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_beside_the_picture_there_is_something_to_learn_from() -> None:
    network = build(lower(reference("fsrcnn_y", 2)), seed=0)
    network(PICTURE).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_filters_before_a_tanh_see_contrasts_and_bend_it() -> None:
    network = build(lower(reference("espcn_y", 2)), seed=0)
    first, second, _ = (layer for layer in network.layers.values())
    copies = 64 // module._COPY_EVERY
    sums = first.weight.sum((1, 2, 3))
    assert sums[copies:].abs().max() < 1e-5
    assert sums[:copies].abs().min() > 0.1
    detail = PICTURE - nn.functional.avg_pool2d(PICTURE, 5, 1, padding=2)
    with torch.inference_mode():
        seen = first.linear(detail, first.weight, first.bias)[:, copies:]
        assert (seen - seen.tanh()).abs().mean() > 0.05 * seen.abs().mean()
        assert second.weight[8:].std() > 1.5 * (64 * 9) ** -0.5


@pytest.mark.parametrize("branches", ["parallel", "edge", "expand"])
def test_branches_change_nothing_of_the_start(branches: str) -> None:
    graph = lower(reference("fsrcnn_y", 2))
    with torch.inference_mode():
        plain = build(graph, seed=0)(PICTURE)
        branched = fold(build(graph, seed=0, branches=branches))(PICTURE)
    torch.testing.assert_close(branched, plain, atol=1e-4, rtol=1e-4)


def test_a_stack_with_tanh_has_no_branches() -> None:
    network = build(lower(reference("espcn_y", 2)), seed=0, branches="edge")
    assert not any(is_branched(layer) for layer in network.layers.values())


def test_a_kernel_that_is_too_small_for_a_smooth_upsampler_repeats_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = Architecture("upscaler", one_to_one(1, 1, 2), (STEM,), (("head_kernel", 1),))
    with torch.inference_mode():
        made = start_of(lower(stack), monkeypatch)(PICTURE)
    expected = PICTURE.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(made, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "name",
    ["ecbsr_m4c16", "espcn_sigmoid", "dncnn", "mobilenet_v2", "rlfn_s"],
)
def test_other_networks_have_no_such_path(name: str) -> None:
    scale = {"dncnn": 1, "mobilenet_v2": 1}.get(name, 2)
    assert picture_path(lower(reference(name, scale))) is None


@pytest.mark.parametrize(
    ("blocks", "args"),
    [
        ((BlockSpec.of("conv", 2),), {}),
        ((BlockSpec.of("conv", 8, activation="hardswish"),), {}),
        ((STEM, BlockSpec.of("separable", 8)), {}),
        ((STEM, BlockSpec.of("residual", 8, 2)), {}),
        ((STEM,), {"centre": True}),
        ((STEM,), {"base": "nearest"}),
        ((STEM,), {"reduction": "strided"}),
    ],
)
def test_what_cannot_pass_a_picture_does_not(
    blocks: tuple[BlockSpec, ...], args: dict[str, Any]
) -> None:
    stack = Architecture("upscaler", one_to_one(3, 3, 2), blocks, tuple(sorted(args.items())))
    assert picture_path(lower(stack)) is None
