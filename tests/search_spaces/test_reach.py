"""How far a network sees, held against what it computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import draw

from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.graph import Graph, channels_of
from search_spaces.modules import build
from search_spaces.reach import margin_of, multiple_of
from search_spaces.references import reference
from search_spaces.skeletons import lower

NETWORKS = {
    **{name: lower(reference(name, 2)) for name in ("espcn", "fsrcnn", "etds_t", "sesr_m3")},
    "bicubic++": lower(reference("bicubic++", 3)),
    **{f"drawn {seed}": lower(draw(seed)) for seed in range(4)},
    **{f"multi-scale {s}": lower(draw(s, EncoderDecoderSpace())) for s in (0, 7, 12)},
}


def seen(graph: Graph) -> int:
    """Pixels of the deployment beyond its own place that the middle of the output follows from."""
    margin, multiple = margin_of(graph), multiple_of(graph)
    assert margin is not None
    torch.manual_seed(0)
    side = 2 * (margin + 2 * multiple) + multiple
    network = build(graph, seed=0).double()
    channels = channels_of(graph.nodes)[0]
    picture = torch.rand(1, channels, side, side, dtype=torch.float64, requires_grad=True)
    output = network(picture)
    assert isinstance(output, torch.Tensor)
    scale, start = output.shape[2] // side, margin + 2 * multiple
    place = slice(start * scale, (start + multiple) * scale)
    (slope,) = torch.autograd.grad(output[:, :, place, place].sum(), picture)
    rows = np.flatnonzero(slope.abs().sum((0, 1, 3)).numpy())
    return int(max(start - rows.min(), rows.max() - (start + multiple - 1)))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_output_follows_from_what_is_beyond_the_margin(name: str) -> None:
    graph = NETWORKS[name]
    margin = margin_of(graph)
    assert margin is not None and margin % multiple_of(graph) == 0
    assert margin / 2 <= seen(graph) <= margin


def test_a_plain_stack_sees_half_of_each_kernel() -> None:
    assert (margin_of(lower(reference("ecbsr_m4c16", 2))), 1) == (6, 1)
    assert multiple_of(lower(reference("oidn_unet", 1))) == 16


@pytest.mark.parametrize("name", ["mobilenet_v2", "rlfn_s"])
def test_what_depends_on_the_whole_picture_has_no_margin(name: str) -> None:
    assert margin_of(lower(reference(name, 1 if name == "mobilenet_v2" else 2))) is None
