"""Pictures of any size: tiles give what the whole gives, whatever the engine can run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import draw
from made_bundles import picture, write_bundle
from numpy.typing import NDArray

from runtime import as_input, as_pixels, load
from runtime.pictures import IO
from runtime.tiles import spans, spans_of
from search_spaces.base import Architecture
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.reach import margin_of, multiple_of
from search_spaces.references import reference
from search_spaces.skeletons import lower


def differ(one: NDArray[np.unsignedinteger], other: NDArray[np.unsignedinteger]) -> int:
    assert one.shape == other.shape and one.dtype == other.dtype
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("length", [1, 40, 41, 97, 640, 6000])
@pytest.mark.parametrize(("most", "margin", "multiple"), [(40, 0, 1), (64, 12, 4), (100, 20, 1)])
def test_every_pixel_is_kept_once_with_its_margin_read(
    length: int, most: int, margin: int, multiple: int
) -> None:
    length = -(-length // multiple) * multiple
    cut = spans(length, most=most, margin=margin, multiple=multiple)
    kept = [pixel for span in cut for pixel in range(span.begin, span.end)]
    assert kept == list(range(length))
    assert len({span.stop - span.start for span in cut}) == 1
    for span in cut:
        assert span.stop - span.start <= most and span.start % multiple == 0
        assert span.start <= max(0, span.begin - margin)
        assert span.stop >= min(length, span.end + margin)


def test_tiles_of_a_files_own_size_keep_every_pixel_once() -> None:
    cut = spans_of(100, side=32, margin=6)
    assert [pixel for span in cut for pixel in range(span.begin, span.end)] == list(range(100))
    assert {span.stop - span.start for span in cut} == {32}
    with pytest.raises(ValueError, match="32 pixels of it are all margin.*engine='openvino'"):
        spans_of(100, side=32, margin=16)


NETWORKS = {
    "plain": reference("ecbsr_m4c16", 2),
    "strided": reference("bicubic++", 3),
    "drawn": draw(3),
    "multi-scale": draw(7, EncoderDecoderSpace()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_give_what_the_whole_gives(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    graph = lower(network)
    margin, multiple = margin_of(graph), multiple_of(graph)
    assert margin is not None
    folder = write_bundle(tmp_path / "b", network, size=(48, 64), precisions=("fp32",))
    side = 2 * margin + 40
    frame = picture(side + 51, 2 * side + 29)
    whole, cut = load(folder)(frame), load(folder, tile=side)(frame)
    assert whole.shape[0] == network.signature.scale * len(frame)
    assert differ(whole, cut) <= 1
    # Less than the margin shows at the seams: the test can see them.
    if margin > 4 * multiple:
        less = {"margin": 0, "multiple": multiple}
        other = write_bundle(
            tmp_path / "less", network, size=(48, 64), precisions=("fp32",), said=less
        )
        assert differ(whole, load(other, tile=side)(frame)) > 1


def test_int8_tiles_give_what_the_whole_gives(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    frame = picture(90, 130)
    assert differ(load(folder)(frame), load(folder, tile=48)(frame)) <= 1


def test_an_engine_that_runs_one_size_gives_the_same_picture_of_any_size(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", size=(32, 40))
    frame = picture(90, 75)
    one, other = (
        load(folder, precision="fp32", engine=engine)(frame)
        for engine in ("openvino", "onnxruntime")
    )
    assert differ(one, other) <= 1
    small = load(folder, precision="fp32", engine="onnxruntime")(picture(20, 70))
    assert small.shape == (40, 140, 3)


def test_a_file_that_openvino_cannot_reshape_runs_in_tiles_of_its_size(tmp_path: Path) -> None:
    network = reference("esr_max", 2)
    folder = write_bundle(tmp_path / "b", network, size=(32, 48), precisions=("fp32",))
    large = write_bundle(tmp_path / "l", network, size=(70, 90), precisions=("fp32",))
    frame = picture(70, 90, 1)
    assert differ(load(folder)(frame), load(large)(frame)) <= 1


def test_a_tile_that_is_all_margin_is_refused_with_the_least_that_is_not(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    with pytest.raises(ValueError, match="a tile of 12 is all margin.* 6 pixels .* least 28"):
        load(folder, tile=12)(picture(90, 75))
    assert load(folder, tile=28)(picture(90, 75)).shape == (180, 150, 3)


def test_a_bundle_that_does_not_tell_its_margin_is_cut_with_a_safe_one(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", draw(3), precisions=("fp32",), said={})
    upscale = load(folder, tile=240)
    true = margin_of(lower(draw(3)))
    assert upscale.reach.margin is None and true is not None and upscale.reach.overlap >= true
    frame = picture(100, 300)
    assert differ(load(folder)(frame), upscale(frame)) <= 1


@pytest.mark.parametrize("space", [None, EncoderDecoderSpace()])
def test_no_network_of_the_spaces_sees_further_than_the_safe_margin(
    space: EncoderDecoderSpace | None, tmp_path: Path
) -> None:
    from runtime.frames import Reach

    for seed in range(60):
        network: Architecture = draw(seed, space)
        graph, safe = lower(network), Reach.told({}, network.to_json(), "rgb")
        assert (margin_of(graph) or 0) <= safe.overlap
        assert safe.multiple % multiple_of(graph) == 0


def test_several_pictures_of_one_size_are_each_as_by_themselves(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    batch = np.stack([picture(), picture()[::-1], picture()[:, ::-1]])
    for engine in ("openvino", "onnxruntime"):
        upscale = load(folder, precision="fp32", engine=engine)
        together = upscale(batch)
        assert differ(together, np.stack([upscale(one) for one in batch])) <= 1


def test_sixteen_bits_stay_sixteen(tmp_path: Path) -> None:
    upscale = load(write_bundle(tmp_path / "b"), precision="fp32")
    deep = picture().astype(np.uint16) * np.uint16(257)
    made = upscale(deep)
    assert made.dtype == np.uint16 and len(np.unique(made)) > 1000
    assert np.abs(made / 257 - upscale(picture()).astype(float)).max() <= 0.51


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("io", ["uint8_nchw", "uint8_nhwc"])
def test_a_file_of_bytes_gives_what_one_of_numbers_does(
    engine: str, io: IO, tmp_path: Path
) -> None:
    frame = picture(70, 90)
    ways: tuple[IO, IO] = ("float_nchw", io)
    one, other = (
        load(write_bundle(tmp_path / way, io=way), precision="fp32", engine=engine)
        for way in ways
    )
    assert differ(one(frame), other(frame)) <= 1
    cut = load(tmp_path / io, precision="int8", tile=40)(frame)
    assert differ(load(tmp_path / io, precision="int8")(frame), cut) <= 1


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_frames_of_bytes_go_into_a_file_of_bytes_as_they_are(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upscale = load(write_bundle(tmp_path / "b", io="uint8_nhwc"), precision="fp32", engine=engine)
    expected = as_pixels(upscale.run(as_input(picture())))

    def never(*given: object) -> None:
        raise AssertionError("converted")

    monkeypatch.setattr("runtime.bundle.as_planes", never)
    assert differ(upscale(picture()), expected) == 0
    with pytest.raises(AssertionError, match="converted"):
        upscale(picture(dtype=np.uint16))
