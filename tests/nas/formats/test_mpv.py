"""A user shader for mpv and libplacebo."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from format_networks import by_torch, noise, tame
from networks import NETWORKS
from players import by_libplacebo

from nas.formats.base import Source, Unwritable
from nas.formats.mpv import write
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import Activation, Add, Conv, DepthToSpace, Scale, Shift


def text_of(source: Source) -> str:
    (content,) = write(source).values()
    return content.decode()


def passes_of(source: Source) -> list[dict[str, list[str]]]:
    """The directives of each pass by their names."""
    found = []
    for block in re.split(r"\n(?=//!HOOK )", text_of(source))[1:]:
        directives: dict[str, list[str]] = {}
        for name, value in re.findall(r"^//!(\w+) (.*)$", block, re.MULTILINE):
            directives.setdefault(name, []).append(value)
        found.append(directives)
    return found


def test_every_texture_is_made_before_it_is_read_and_no_pass_reads_too_many() -> None:
    written = 0
    for name, graph in list(NETWORKS.items())[::4]:
        try:
            passes = passes_of(tame(name, graph)[0])
        except Unwritable:
            continue
        made = {"HOOKED"}
        for one in passes:
            assert set(one["BIND"]) <= made and len(one["BIND"]) <= 16, name
            assert not made & set(one.get("SAVE", [])), name
            made |= set(one.get("SAVE", []))
        assert "SAVE" not in passes[-1] and all("SAVE" in one for one in passes[:-1]), name
        written += 1
    assert written > 25


def test_a_picture_whose_sides_do_not_divide_is_padded_as_everywhere_else() -> None:
    builder = GraphBuilder(3)
    down = builder.add(Conv, 0, out_channels=4, stride=2, activation="relu")
    head = builder.add(Conv, down, out_channels=48)
    graph = builder.finish(builder.add(DepthToSpace, head, factor=4))
    source, network = tame("halves", graph)
    assert source.multiple == 2
    pictures = noise(3, 15, 21, count=1)
    padded = np.pad(pictures, [(0, 0), (0, 0), (0, 1), (0, 1)], mode="symmetric")
    expected = by_torch(network, padded)[:, :, :30, :42].clip(0, 1)
    made = by_libplacebo(write(source), pictures, 2)
    assert np.abs(made - expected).max() < 1.5 / 255
    (down_pass, *_, last) = passes_of(source)
    assert down_pass["WIDTH"] == ["HOOKED.w 2 HOOKED.w 2 % - 2 % + 2 /"]
    assert last["WIDTH"] == ["HOOKED.w 2 *"]


def test_moved_values_are_zero_outside_of_the_picture_as_in_the_network() -> None:
    """A border of the texture would be -0.5, or what lies at the edge."""
    builder = GraphBuilder(3)
    centred = builder.add(Scale, builder.add(Shift, 0, value=-0.5), value=-1.0)
    source, network = tame(
        "centred", builder.finish(builder.add(Conv, centred, out_channels=3, offset=0.5))
    )
    white = np.ones((1, 3, 6, 8), np.float32)
    expected = by_torch(network, white)
    assert np.ptp(expected[0, 0]) > 0.05
    made = by_libplacebo(write(source), white, 1)
    assert np.abs(made - expected.clip(0, 1)).max() < 1.5 / 255


def test_convolutions_that_are_added_up_share_a_pass() -> None:
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=4, activation="relu")
    learned = builder.add(Conv, stem, out_channels=12)
    base = builder.add(Conv, 0, out_channels=12, kernel=(5, 5), fixed="bicubic", factor=2)
    both = builder.add(Activation, builder.add(Add, learned, base), activation="clip")
    source, _ = tame("with a base", builder.finish(builder.add(DepthToSpace, both, factor=2)))
    assert [one["DESC"][0].split("layer ")[1] for one in passes_of(source)] == [
        "1 Conv 3x3, 1 of 1", *(f"5 Activation, {quad} of 3" for quad in (1, 2, 3)),
        "6 DepthToSpace, 1 of 1",
    ]  # fmt: skip


def test_luma_is_hooked_where_the_network_sees_luma_and_nothing_runs_where_it_enlarges_nothing(
) -> None:  # fmt: skip
    luma, large = tame("luma")[0], tame("as large")[0]
    assert all(one["HOOK"] == ["LUMA"] for one in passes_of(luma))
    assert all("OUTPUT.w HOOKED.w / 1.2 >" in one["WHEN"][0] for one in passes_of(luma))
    assert all(one["HOOK"] == ["MAIN"] and "WHEN" not in one for one in passes_of(large))


@pytest.mark.parametrize("planes", ["ycbcr420", ""])
def test_planes_that_no_hook_has_together_are_refused(planes: str) -> None:
    with pytest.raises(Unwritable, match=f"works on planes of {planes or 'its own'}, and a sha"):
        write(replace(tame("luma")[0], planes=planes))


@pytest.mark.parametrize(("name", "why"), [
    ("activation gelu", r"\(Conv gelu\) has no function in GLSL"),
    ("reference rlfn_s", r"\(ResizeLike\) has no pass of a shader"),
    ("reference esr_max", r"\(GroupReduce\) has no pass of a shader"),
])  # fmt: skip
def test_a_layer_without_a_pass_is_named(name: str, why: str) -> None:
    with pytest.raises(Unwritable, match=why):
        write(tame(name, NETWORKS[name])[0])


def test_more_phases_than_a_pass_can_read_are_summed_up_over_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builder = GraphBuilder(3)
    head = builder.add(Conv, 0, out_channels=27, kernel=(1, 1))
    graph = builder.finish(builder.add(DepthToSpace, head, factor=3))
    source, network = tame("x3", graph)
    monkeypatch.setattr("nas.formats.passes.MOST_TEXTURES", 4)
    assert max(len(one["BIND"]) for one in passes_of(source)) == 4
    pictures = noise(3, 8, 10)
    made = by_libplacebo(write(source), pictures, 3)
    assert np.abs(made - by_torch(network, pictures).clip(0, 1)).max() < 1.5 / 255
