"""The C++ library gives what `runtime.load` gives, to the last bit, and so does its program."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from built_cpp import Programs, missing, read_pixmap, write_pixmap
from made_bundles import enlarger, holding, picture, write_bundle

from runtime import load
from runtime.pictures import IO
from runtime.planes import packed, unpacked
from runtime.signature import Port, Signature
from search_spaces.any_size import any_size
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import Add, Concat, Conv, DepthToSpace, Multiply
from search_spaces.references import reference
from search_spaces.skeletons import lower

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
ENGINES = ("openvino", "onnxruntime")
SIGNATURE = Signature(
    (Port("frame", 3), Port("depth", 2, Fraction(1, 2), "map"), Port("strength", 8, None, "map"),
     Port("history", 8, kind="state")),
    (Port("large", 3, Fraction(2)), Port("features", 8, kind="state")),
    {"features": "history"},
)  # fmt: skip


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, programs: Programs) -> str:
    if request.param not in programs.engines:
        pytest.skip(f"the headers of {request.param} are not installed")
    return str(request.param)


def remembering() -> Graph:
    """A frame, what is known at half its size, a vector and a state -> a picture and a state."""
    builder = GraphBuilder(*SIGNATURE.inputs)
    frame, depth, strength, history = range(4)
    near = builder.add(DepthToSpace, builder.add(Conv, depth, out_channels=16), factor=2)
    both = builder.add(Concat, builder.add(Concat, frame, near), history)
    body = builder.add(Conv, both, out_channels=8, activation="relu")
    gated = builder.add(Multiply, body, strength)
    features = builder.add(Conv, gated, out_channels=8, activation="relu")
    head = builder.add(Conv, builder.add(Add, features, body), out_channels=12)
    return builder.finish(
        {"large": builder.add(DepthToSpace, head, factor=2), "features": features}
    )


@pytest.mark.parametrize("io", ["float_nchw", "uint8_nchw", "uint8_nhwc"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_picture_is_that_of_python_to_the_last_bit(
    programs: Programs, engine: str, io: IO, precision: str, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "b", io=io, precisions=(precision,))
    for height, width in ((24, 32), (50, 71), (9, 200)):
        frame = picture(height, width)
        given = write_pixmap(tmp_path / "in.ppm", frame)
        code, _, errors = programs.freeway(
            "run", folder, given, tmp_path / "out.ppm", "--engine", engine
        )
        assert code == 0, errors
        expected = load(folder, engine=engine)(frame)
        assert np.array_equal(read_pixmap(tmp_path / "out.ppm"), expected)


def test_tiles_and_files_of_one_size_are_cut_as_python_cuts_them(
    programs: Programs, whole: Path, tmp_path: Path
) -> None:
    given = write_pixmap(tmp_path / "in.ppm", frame := picture(90, 75))
    code, _, errors = programs.freeway("run", whole, given, tmp_path / "out", "--tile", "40")
    assert code == 0, errors
    assert np.array_equal(read_pixmap(tmp_path / "out"), load(whole, tile=40)(frame))
    told = programs.freeway("run", whole, given, tmp_path / "no", "--tile", "12")
    with pytest.raises(ValueError) as refused:
        load(whole, tile=12)(frame)
    assert told == (2, b"", f"freeway: {refused.value}\n") and not (tmp_path / "no").exists()
    fixed = write_bundle(
        tmp_path / "f", reference("esr_max", 2), size=(32, 48), precisions=("fp32",)
    )
    for height, width in ((70, 90), (20, 130)):
        given = write_pixmap(tmp_path / "in.pgm", frame := picture(height, width, 1))
        code, _, errors = programs.freeway("run", fixed, given, tmp_path / "out")
        assert code == 0, errors
        assert np.array_equal(read_pixmap(tmp_path / "out"), load(fixed)(frame))


def test_ports_are_named_and_a_state_is_carried_until_it_is_reset(
    programs: Programs, engine: str, tmp_path: Path
) -> None:
    folder = write_bundle(
        tmp_path / "b", remembering(), precisions=("fp32",), signature=SIGNATURE
    )
    dice = np.random.default_rng(1)
    frames = [
        {port.name: dice.random((1, *port.shape(24, 32)), np.float32) for port in SIGNATURE.given}
        for _ in range(3)
    ]
    named = {f"{k}.{name}": v for k, frame in enumerate(frames) for name, v in frame.items()}
    np.savez(tmp_path / "frames.npz", allow_pickle=False, **named)
    made = programs.asked("ports", folder, tmp_path / "frames.npz", engine)
    network = load(folder, engine=engine)
    expected = [*network.over(frames), *network.over(frames[:1])]
    assert made == b"".join(
        outputs[port.name].tobytes() for outputs in expected for port in SIGNATURE.outputs
    )
    assert not np.array_equal(expected[1]["large"], next(network.over(frames[1:]))["large"])


def test_a_file_of_any_size_needs_no_tiles(
    programs: Programs, engine: str, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "b", io="uint8_nhwc", precisions=("int8",))
    graph = lower(reference("ecbsr_m4c16", 2))
    holding(folder, "int8.onnx", any_size((folder / "int8.onnx").read_bytes(), graph))
    for height, width in ((24, 32), (50, 71)):
        given = write_pixmap(tmp_path / "in.ppm", frame := picture(height, width))
        code, _, errors = programs.freeway(
            "run", folder, given, tmp_path / "out", "--engine", engine
        )
        assert code == 0, errors
        assert np.array_equal(read_pixmap(tmp_path / "out"), load(folder, engine=engine)(frame))


def test_frames_pass_through_a_pipe_and_a_short_one_is_told(
    programs: Programs, whole: Path
) -> None:
    frames = [picture(24, 32), picture(24, 32)[::-1]]
    raw = b"".join(frame.tobytes() for frame in frames)
    expected = b"".join(made.tobytes() for made in load(whole).frames(frames))
    assert programs.freeway("run", whole, "--size", "32x24", given=raw) == (0, expected, "")
    code, made, errors = programs.freeway("run", whole, "--size", "32x24", given=raw + b"rest")
    assert (code, made) == (1, expected)
    assert errors == "freeway: the last frame ends after 4 of 2304 bytes: is --size right?\n"


def test_a_network_of_a_decoders_planes_is_given_them_as_they_are(
    programs: Programs, tmp_path: Path
) -> None:
    said = {"planes": "ycbcr420", "margin": 4, "multiple": 1}
    folder = write_bundle(tmp_path / "b", enlarger(6), io="uint8_nhwc", said=said)
    dice = np.random.default_rng(2)
    frames = [dice.integers(0, 256, 24 * 32 * 3 // 2).astype(np.uint8) for _ in range(2)]
    expected = b""
    for frame in frames:
        y, chroma = frame[: 24 * 32].reshape(1, 1, 24, 32), frame[24 * 32 :].reshape(1, 2, 12, 16)
        made = load(folder)(packed(y, chroma)[0].transpose(1, 2, 0))
        expected += b"".join(plane.tobytes() for plane in unpacked(made.transpose(2, 0, 1)[None]))
    raw = b"".join(frame.tobytes() for frame in frames)
    assert programs.freeway("run", folder, "--size", "32x24", given=raw) == (0, expected, "")
    code, _, errors = programs.freeway("run", folder, "--size", "31x24", given=raw)
    assert code == 2 and "has an even height and width, and this one is 24x31" in errors


def test_a_network_with_a_memory_remembers_the_frames_of_a_pipe(
    programs: Programs, tmp_path: Path
) -> None:
    ports = (Port("image", 3), Port("before", 3, kind="state"))
    builder = GraphBuilder(*ports)
    made = builder.add(Conv, builder.add(Concat, 0, 1), out_channels=3, kernel=(1, 1))
    graph = builder.finish({"made": made, "kept": 0})
    signature = Signature(
        ports, (Port("made", 3), Port("kept", 3, kind="state")), {"kept": "before"}
    )
    folder = write_bundle(tmp_path / "b", graph, precisions=("fp32",), signature=signature)
    frames = [picture(24, 32), np.ascontiguousarray(picture(24, 32)[::-1]), picture(24, 32)]
    expected = [made.tobytes() for made in load(folder).frames(frames)]
    assert expected[0] != expected[2]
    raw = b"".join(frame.tobytes() for frame in frames)
    assert programs.freeway("run", folder, "--size", "32x24", given=raw) == (
        0, b"".join(expected), ""
    )  # fmt: skip


def test_the_program_of_the_page_runs_a_network(programs: Programs, tmp_path: Path) -> None:
    write_bundle(tmp_path / "product/upscaler", io="uint8_nhwc", precisions=("int8",))
    programs.product(tmp_path)


def test_a_picture_is_made_anew_in_memory_of_another_size(
    programs: Programs, whole: Path
) -> None:
    assert programs.asked("reused", whole, "24", "32") == b"48x64x3\n"


def test_a_frame_is_timed_beside_its_receipt(programs: Programs, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    code, _, errors = programs.freeway("time", folder)
    assert code == 2 and "the receipt tells no size" in errors
    receipt = {"engine": "openvino", "median_ms": 1.5, "clock": "cpu", "cpu_median_ms": 1.75,
               "threads": 2, "input_shape": [1, 3, 24, 32], "io": "float_nchw"}  # fmt: skip
    holding(folder, "latency.json", json.dumps({"int8": receipt, "fp32": receipt}).encode())
    code, printed, errors = programs.freeway("time", folder)
    assert (code, errors) == (0, "")
    assert b"threads: 2, wall time" in printed and b"receipt              1.5 ms" in printed
    assert b"1.75 before the machine's load" in printed
    assert b"threads: 1, processor" in programs.freeway("time", folder, "--threads", "1")[1]


def test_a_frame_of_several_ports_is_timed_too(programs: Programs, tmp_path: Path) -> None:
    folder = write_bundle(
        tmp_path / "b", remembering(), precisions=("fp32",), signature=SIGNATURE
    )
    receipt = {"engine": "openvino", "median_ms": 1.5, "input_shape": [1, 3, 24, 32]}
    holding(folder, "latency.json", json.dumps({"fp32": receipt}).encode())
    code, printed, errors = programs.freeway("time", folder)
    assert (code, errors) == (0, "") and b"frame in, frame out" in printed


@pytest.mark.parametrize(("words", "told"), [
    ((), "usage: freeway"),
    (("open",), "give verify, time or run"),
    (("verify",), "give freeway verify BUNDLE"),
    (("run", "{b}", "in.ppm"), "IN.ppm OUT.ppm"),
    (("run", "{b}", "--size", "32"), "give WxH"),
    (("run", "{b}", "--size", "0x9"), "give a whole number above 0"),
    (("run", "{b}", "--size", "99999x99999"), "such frames do not fit into memory"),
    (("run", "{b}", "--size"), "--size needs a value"),
    (("run", "{b}", "--wide", "3"), "--wide is not known"),
    (("run", "{b}", "--size", "32x24", "--precision", "fp16"), "ships int8, fp32"),
    (("run", "{b}", "--size", "32x24", "--engine", "tensorrt"), "'tensorrt' is not built in"),
    (("run", "{b}", "gone.ppm", "out.ppm"), "gone.ppm cannot be read"),
    (("run", "{b}", "{b}/README.md", "out.ppm"), "is no binary PPM or PGM"),
])  # fmt: skip
def test_a_wrong_command_is_one_line(
    programs: Programs, whole: Path, words: tuple[str, ...], told: str
) -> None:
    code, made, errors = programs.freeway(*(word.format(b=whole) for word in words))
    assert (code, made) == (2, b"") and told in errors
    assert errors.count("\n") == 1 or not words


@pytest.mark.parametrize(("head", "told"), [
    (b"P6 32 24 65535\n", "give 8 bits"), (b"P6 32 24 255\n", "its end is missing"),
    (b"P6 0 24 255\n", "its head tells no size"), (b"P6 999999 999999 255\n", "tells no size"),
    (b"P5 2 1 255\nab", "has 1 channels: this network takes 3"),
])  # fmt: skip
def test_a_damaged_pixmap_leaves_nothing_behind(
    programs: Programs, whole: Path, head: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / "in.ppm").write_bytes(head)
    code, _, errors = programs.freeway("run", whole, tmp_path / "in.ppm", tmp_path / "out.ppm")
    assert code == 2 and told in errors and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.ppm"]
