"""Every format: its players make of its files what the network makes, or it says why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from format_networks import GRAPHS, by_torch, noise, tame
from made_bundles import with_golden, write_bundle
from networks import NETWORKS
from players import PLAYERS

from nas.formats import FORMATS, writer
from nas.formats.base import Unwritable
from nas.formats.source import read_source
from nas.golden import read_golden
from runtime.pictures import IO, entering, leaving
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.graph import channels_of

LEVEL = 1 / 255
BOUNDS = {"mpv": 1.5 * LEVEL, "vsmlrt": 2e-5, "ncnn": 2e-5}
"""How far an output may be, in [0, 1]: players keep a shader's textures in fp16, and the picture
that is read back has 8 bits."""


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_format_has_a_player_here() -> None:
    assert set(PLAYERS) == set(FORMATS)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_player_makes_what_the_network_makes(
    name: str, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small networks have layers that one pass of a shader cannot read, as wide ones have.
    monkeypatch.setattr("nas.formats.passes.MOST_TEXTURES", 4)
    source, network = tame(name)
    channels = channels_of(source.graph.nodes)[0]
    pictures = noise(channels, 16 * source.multiple, 17 * source.multiple)
    expected = by_torch(network, pictures)
    # Else what is shown would be black or white whatever was computed.
    assert ((expected > 0) & (expected < 1)).mean() > 0.5
    if format == "mpv":
        expected = expected.clip(0, 1)
    made = PLAYERS[format](writer(format)(source, "fp32"), pictures, source.scale)
    assert np.abs(made - expected).max() < BOUNDS[format]


def test_what_was_exported_gives_the_golden_output(format: str, tmp_path: Path) -> None:
    small = Architecture(
        "upscaler", one_to_one(3, 3, 2), (BlockSpec.of("conv", 8),), (("base", "bicubic"),)
    )
    io: IO = "uint8_nhwc"
    bundle = with_golden(
        write_bundle(tmp_path / "1a2b", small, precisions=("fp32",), io=io)
    )
    golden = read_golden(
        (bundle / "golden.npz").read_bytes(), json.loads((bundle / "golden.json").read_text())
    )
    (frame,) = golden.frames("fp32", small.signature)
    files = writer(format)(read_source(bundle), "fp32")
    made = leaving(entering(PLAYERS[format](files, frame["input"], 2), io), io)
    match = golden.match("fp32", [{"output": made}])
    # Both are rounded to levels, which a number in between may do either way.
    assert match.largest < 1.5 * LEVEL and match.mean < 0.2 * LEVEL


@pytest.mark.parametrize(("name", "layer"), [
    ("reference rlfn_s", r"layer \d+ of reference rlfn_s-x2 \(\w+\) h"),
    ("skeleton classifier", r"skeleton classifier makes \(3,\) of a picture of \(3, 64, 64\)"),
    ("reference oidn_unet", r"reference oidn_unet makes .* networks that make a pict"),
])  # fmt: skip
def test_what_a_format_cannot_hold_is_refused_in_one_line_that_names_it(
    name: str, layer: str, format: str
) -> None:
    with pytest.raises(Unwritable, match=layer) as told:
        writer(format)(tame(name, NETWORKS[name])[0], "fp32")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("format", ["vsmlrt", "ncnn"])
def test_whatever_is_registered_is_equal_or_refused(format: str) -> None:
    written, refused = 0, 0
    for name, graph in list(NETWORKS.items())[::3]:
        try:
            source, network = tame(name, graph)
            files = writer(format)(source, "fp32")
        except Unwritable:
            refused += 1
            continue
        pictures = noise(channels_of(graph.nodes)[0], 32, 48, count=1)
        expected = by_torch(network, pictures)
        error = np.abs(PLAYERS[format](files, pictures, source.scale) - expected).max()
        assert error < 1e-4 * max(1.0, float(np.abs(expected).max())), name
        written += 1
    assert written > 40 and refused > 5
