"""ncnn's two files."""

from __future__ import annotations

import numpy as np
from format_networks import by_torch, noise, tame
from players import by_ncnn

from nas.formats.ncnn import write
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import Conv, DepthToSpace, SpaceToDepth


def test_the_text_counts_its_layers_and_every_blob_is_read_once() -> None:
    source, _ = tame("colours")
    text = write(source)["colours-x2.param"].decode()
    magic, counts, *lines = text.splitlines()
    assert magic == "7767517"
    made, read = [], []
    for line in lines:
        _, _, before, after, *rest = line.split()
        read += rest[: int(before)]
        made += rest[int(before) : int(before) + int(after)]
    assert counts == f"{len(lines)} {len(made)}"
    assert len(set(made)) == len(made) and len(set(read)) == len(read)
    # Only the output is left.
    assert "data" in made and set(made) - set(read) == {"output"}


def test_kernels_are_stored_in_half_the_bytes_where_that_is_asked_for() -> None:
    source, network = tame("as large")
    whole, half = write(source, "fp32"), write(source, "fp16")
    assert whole["as large.param"] == half["as large.param"]
    assert len(half["as large.bin"]) < 0.6 * len(whole["as large.bin"])
    pictures = noise(3, 16, 16)
    error = np.abs(by_ncnn(half, pictures, 1) - by_torch(network, pictures)).max()
    assert 0 < error < 2e-3


def test_phases_of_a_picture_come_in_the_order_of_the_network() -> None:
    """By pixel, then by channel: the other order is what pnnx makes of the same ONNX file."""
    builder = GraphBuilder(3)
    half = builder.add(SpaceToDepth, 0, factor=2)
    head = builder.add(Conv, half, out_channels=48, kernel=(1, 1))
    source, network = tame("halves", builder.finish(builder.add(DepthToSpace, head, factor=4)))
    pictures = noise(3, 16, 24)
    expected = by_torch(network, pictures)
    assert np.abs(by_ncnn(write(source), pictures, 2) - expected).max() < 1e-5
