"""The C++ library gives what `runtime.load` gives, to the last bit, and refuses what that does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from built_cpp import Programs, build, missing, read_pixmap, write_pixmap
from made_bundles import picture, told_again, with_golden, write_bundle
from onnx.external_data_helper import set_external_data

from nas.commands.verify import main as nas_verify
from nas.verify import verify
from runtime import BadBundle, load
from runtime.pictures import IO
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


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return build(tmp_path_factory.mktemp("cpp"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_golden(write_bundle(tmp_path_factory.mktemp("bundle") / "b"))


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


def test_the_hash_is_sha256_at_every_length_around_a_block(
    programs: Programs, tmp_path: Path
) -> None:
    dice, path = np.random.default_rng(0), tmp_path / "file"
    for length in (0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 100_003):
        path.write_bytes(content := dice.bytes(length))
        expected = hashlib.sha256(content).hexdigest()
        assert programs.asked("sha256", path).decode().strip() == expected


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
    programs: Programs, bundle: Path, tmp_path: Path
) -> None:
    given = write_pixmap(tmp_path / "in.ppm", frame := picture(90, 75))
    code, _, errors = programs.freeway("run", bundle, given, tmp_path / "out", "--tile", "40")
    assert code == 0, errors
    assert np.array_equal(read_pixmap(tmp_path / "out"), load(bundle, tile=40)(frame))
    told = programs.freeway("run", bundle, given, tmp_path / "no", "--tile", "12")
    with pytest.raises(ValueError) as refused:
        load(bundle, tile=12)(frame)
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
    held("int8.onnx", any_size((folder / "int8.onnx").read_bytes(), graph))(folder)
    for height, width in ((24, 32), (50, 71)):
        given = write_pixmap(tmp_path / "in.ppm", frame := picture(height, width))
        code, _, errors = programs.freeway(
            "run", folder, given, tmp_path / "out", "--engine", engine
        )
        assert code == 0, errors
        assert np.array_equal(read_pixmap(tmp_path / "out"), load(folder, engine=engine)(frame))


def test_frames_pass_through_a_pipe_and_a_short_one_is_told(
    programs: Programs, bundle: Path
) -> None:
    frames = [picture(24, 32), picture(24, 32)[::-1]]
    raw = b"".join(frame.tobytes() for frame in frames)
    expected = b"".join(made.tobytes() for made in load(bundle).frames(frames))
    assert programs.freeway("run", bundle, "--size", "32x24", given=raw) == (0, expected, "")
    code, made, errors = programs.freeway("run", bundle, "--size", "32x24", given=raw + b"rest")
    assert (code, made) == (1, expected)
    assert errors == "freeway: the last frame ends after 4 of 2304 bytes: is --size right?\n"


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
    programs: Programs, bundle: Path
) -> None:
    assert programs.asked("reused", bundle, "24", "32") == b"48x64x3\n"


def changed(folder: Path) -> None:
    content = (folder / "int8.onnx").read_bytes()
    (folder / "int8.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def says(**fields: Any) -> Callable[[Path], None]:
    def say(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return say


def linked(folder: Path) -> None:
    (folder / "int8.onnx").rename(folder.parent / "elsewhere")
    (folder / "int8.onnx").symlink_to(folder.parent / "elsewhere")


def parted(folder: Path) -> None:
    model = onnx.load(folder / "fp32.onnx")
    inner = onnx.helper.make_graph([], "g", [], [], initializer=[model.graph.initializer[-1]])
    node = onnx.helper.make_node("If", [], [], then_branch=inner)
    set_external_data(node.attribute[0].g.initializer[0], "../../weights")
    model.graph.node.append(node)
    (folder / "int8.onnx").write_bytes(model.SerializeToString())
    told_again(folder)


def held(name: str, content: bytes) -> Callable[[Path], None]:
    def hold(folder: Path) -> None:
        (folder / name).write_bytes(content)
        told_again(folder)

    return hold


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a byte": changed,
    "its end": lambda folder: (folder / "int8.onnx").write_bytes(b"\x08"),
    "later": says(format=3),
    "outside": says(**{"../fp32.onnx": "5f"}),
    "on another system": says(**{"a\\b": "5f"}),
    "a drive": says(**{"C:x": "5f"}),
    "link": linked,
    "parts": parted,
    "no onnx": held("int8.onnx", b"\x3a\xff\xff\x01"),
    "no field": held("int8.onnx", b"\xff" * 12),
    "no json": held("latency.json", b"{"),
    "a list": held("architecture.json", b"[]"),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "a list of files": lambda folder: (folder / "manifest.json").write_text("[]") and None,
    "no picture": says(picture=[]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_python_refuses_is_refused_in_the_same_words(
    programs: Programs, damage: str, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "b")
    DAMAGES[damage](folder)
    with pytest.raises(BadBundle) as refused:
        load(folder)
    code, made, errors = programs.freeway("run", folder, "--size", "32x24")
    assert (code, made, errors) == (2, b"", f"freeway: {refused.value}\n")
    failed = any(check.passed is False for check in verify(folder))
    assert programs.freeway("verify", folder)[0] == failed


def test_what_cannot_be_read_is_told(programs: Programs, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    (folder / "int8.onnx").unlink()
    code, _, errors = programs.freeway("run", folder, "--size", "32x24")
    assert code == 2 and "int8.onnx cannot be read (No such file or directory): ex" in errors
    (folder / "manifest.json").write_text("{")
    assert "manifest.json cannot be read" in programs.freeway("run", folder, "--size", "9x9")[2]
    assert programs.freeway("verify", folder)[0] == 1


@pytest.mark.parametrize("number", [0, -1, True, "2", 1.5, None, []])
def test_what_is_no_format_is_refused(programs: Programs, number: Any, tmp_path: Path) -> None:
    says(format=number)(folder := write_bundle(tmp_path / "b"))
    code, _, errors = programs.freeway("run", folder, "--size", "32x24")
    assert code == 2 and "which is none: export it again" in errors and errors.count("\n") == 1


@pytest.mark.parametrize("change", [{"signature": {"inputs": []}}, {"scale": "2"}, {"scale": -1}])
def test_a_description_of_no_network_is_refused(
    programs: Programs, change: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "b")
    described = json.loads((folder / "architecture.json").read_text()) | change
    held("architecture.json", json.dumps(described).encode())(folder)
    code, _, errors = programs.freeway("run", folder, "--size", "32x24")
    assert code == 2 and "describes no network" in errors and errors.count("\n") == 1


def golden_lines(printed: str) -> Iterator[str]:
    return (line for line in printed.splitlines() if " on openvino " in line)


def test_a_whole_bundle_passes_in_the_words_of_nas_verify(
    programs: Programs, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, errors = programs.freeway("verify", bundle)
    assert (code, errors) == (0, "")
    assert nas_verify([str(bundle)]) == 0
    said = capsys.readouterr().out
    assert sorted(golden_lines(printed.decode())) == sorted(golden_lines(said))
    assert printed.decode().count("the golden output bit for bit") == 2
    assert printed.decode().splitlines()[0] == said.splitlines()[0]


@pytest.mark.parametrize("by", [1, 200])
def test_a_golden_output_that_is_another_fails_where_it_is_far(
    programs: Programs, by: int, tmp_path: Path
) -> None:
    folder = with_golden(write_bundle(tmp_path / "b", precisions=("fp32",)))
    with np.load(folder / "golden.npz") as packed:
        arrays = dict(packed)
    arrays["fp32.0.output"][..., 0, 0] += by / 100
    np.savez(folder / "golden.npz", allow_pickle=False, **arrays)
    known = json.loads((folder / "golden.json").read_text())
    known["fp32"]["outputs"]["0.output"]["sha256"] = "0"
    known["fp32"] |= {"largest": 0.05, "mean": 0.01}
    (folder / "golden.json").write_text(json.dumps(known))
    code, printed, _ = programs.freeway("verify", told_again(folder))
    (line, *_) = golden_lines(printed.decode())
    assert code == (by > 1) and line.startswith("FAILED" if by > 1 else "ok")
    assert "from the golden output (at most 0.05)" in line


def test_golden_outputs_of_an_earlier_bundle_are_told_and_not_failed(
    programs: Programs, tmp_path: Path
) -> None:
    folder = with_golden(write_bundle(tmp_path / "b", precisions=("fp32",)))
    with np.load(folder / "golden.npz") as packed:
        np.savez_compressed(folder / "golden.npz", allow_pickle=False, **dict(packed))
    code, printed, _ = programs.freeway("verify", told_again(folder))
    assert code == 0 and b"-      golden.npz: it is compressed" in printed
    content = (folder / "golden.npz").read_bytes()
    for damage in (content[:-9], b"", b"PK\5\6" + b"\xff" * 18, content.replace(b"PK\1\2", b"PK")):
        (folder / "golden.npz").write_bytes(damage)
        code, printed, errors = programs.freeway("verify", told_again(folder))
        assert code == 1 and b"FAILED golden.npz: it cannot be read" in printed and not errors


def test_a_frame_is_timed_beside_its_receipt(programs: Programs, bundle: Path) -> None:
    code, _, errors = programs.freeway("time", bundle)
    assert code == 2 and "the receipt tells no size" in errors
    receipt = {"engine": "openvino", "median_ms": 1.5, "clock": "cpu", "cpu_median_ms": 1.75,
               "threads": 2, "input_shape": [1, 3, 24, 32], "io": "float_nchw"}  # fmt: skip
    held("latency.json", json.dumps({"int8": receipt, "fp32": receipt}).encode())(bundle)
    code, printed, errors = programs.freeway("time", bundle)
    assert (code, errors) == (0, "")
    assert b"threads: 2, wall time" in printed and b"receipt              1.5 ms" in printed
    assert b"1.75 before the machine's load" in printed
    assert b"threads: 1, processor" in programs.freeway("time", bundle, "--threads", "1")[1]


def test_a_frame_of_several_ports_is_timed_too(programs: Programs, tmp_path: Path) -> None:
    folder = write_bundle(
        tmp_path / "b", remembering(), precisions=("fp32",), signature=SIGNATURE
    )
    receipt = {"engine": "openvino", "median_ms": 1.5, "input_shape": [1, 3, 24, 32]}
    held("latency.json", json.dumps({"fp32": receipt}).encode())(folder)
    code, printed, errors = programs.freeway("time", folder)
    assert (code, errors) == (0, "") and b"frame in, frame out" in printed


@pytest.mark.parametrize(("words", "told"), [
    ((), "usage: freeway"),
    (("open",), "give verify, time or run"),
    (("verify",), "give freeway verify BUNDLE"),
    (("run", "{b}", "in.ppm"), "IN.ppm OUT.ppm"),
    (("run", "{b}", "--size", "32"), "give WxH"),
    (("run", "{b}", "--size", "0x9"), "give a whole number above 0"),
    (("run", "{b}", "--size"), "--size needs a value"),
    (("run", "{b}", "--wide", "3"), "--wide is not known"),
    (("run", "{b}", "--size", "32x24", "--precision", "fp16"), "ships int8, fp32"),
    (("run", "{b}", "--size", "32x24", "--engine", "tensorrt"), "'tensorrt' is not built in"),
    (("run", "{b}", "gone.ppm", "out.ppm"), "gone.ppm cannot be read"),
    (("run", "{b}", "{b}/README.md", "out.ppm"), "is no binary PPM or PGM"),
])  # fmt: skip
def test_a_wrong_command_is_one_line(
    programs: Programs, bundle: Path, words: tuple[str, ...], told: str
) -> None:
    code, made, errors = programs.freeway(*(word.format(b=bundle) for word in words))
    assert (code, made) == (2, b"") and told in errors
    assert errors.count("\n") == 1 or not words


@pytest.mark.parametrize(("head", "told"), [
    (b"P6 32 24 65535\n", "give 8 bits"), (b"P6 32 24 255\n", "its end is missing"),
    (b"P6 0 24 255\n", "its head tells no size"), (b"P6 999999 999999 255\n", "tells no size"),
    (b"P5 2 1 255\nab", "has 1 channels: this network takes 3"),
])  # fmt: skip
def test_a_damaged_pixmap_leaves_nothing_behind(
    programs: Programs, bundle: Path, head: bytes, told: str, tmp_path: Path
) -> None:
    (tmp_path / "in.ppm").write_bytes(head)
    code, _, errors = programs.freeway("run", bundle, tmp_path / "in.ppm", tmp_path / "out.ppm")
    assert code == 2 and told in errors and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.ppm"]
