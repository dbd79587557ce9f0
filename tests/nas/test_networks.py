"""What can be named on the command line, and the file that it stands for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from latency_models.engines.file_facts import file_precision
from latency_models.int8_support import largest_weight
from nas.distinct import distinct
from nas.networks import (
    Form,
    GraphNetwork,
    UnknownNetwork,
    Unsuitable,
    resolve,
    rules_for,
    usual_precision,
)
from nas.onnx_networks import FileNetwork
from runtime.pictures import IO
from search_spaces.references import reference
from tests.latency_models.small_nets import conv_net, finished
from tests.nas.finished_studies import receipt

SMALL = Form("int8", (16, 24))

MODULES = """
from torch import nn
numbers = 3
def up():
    return nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
def nothing():
    return 7
def broken():
    raise RuntimeError("no weights here")
"""


def shape_of(file: bytes) -> tuple[int, ...]:
    (value,) = onnx.load_model_from_string(file).graph.input
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def bundle(folder: Path) -> Path:
    """A winner's folder, as a search leaves it."""
    folder.mkdir()
    architecture = reference("ecbsr_m4c16", 2).to_json()
    (folder / "architecture.json").write_text(json.dumps(architecture))
    receipts = {}
    for precision in ("fp32", "int8"):
        (folder / f"{precision}.onnx").write_bytes(f"trained {precision}".encode())
        told = receipt(
            3.0, precision=precision, engine="openvino", input_shape=(1, 16, 24, 3),
            io="uint8_nhwc",
        )  # fmt: skip
        receipts[precision] = told.to_json()
    (folder / "latency.json").write_text(json.dumps(receipts))
    # A case file lies in a bundle as well, and names the network that shipped.
    (folder / "case.json").write_text(json.dumps({"architecture": architecture}))
    return folder


def dynamic_net() -> bytes:
    """One convolution with open batch, height and width."""
    weight = np.ones((4, 3, 3, 3), np.float32)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1] * 4)
    return finished([node], {"w": weight}, "y", ["N", 3, "H", "W"], ["N", 4, "H", "W"])


@pytest.mark.parametrize("name", ["espcn", "fsrcnn", "ecbsr_m4c16"])
def test_a_published_network_goes_by_its_name_at_any_form(name: str) -> None:
    network = resolve(name)
    for form in (SMALL, Form("fp32", (8, 8), 2), Form("fp16", (8, 8))):
        file = network.file(form, "openvino")
        onnx.checker.check_model(file)
        assert shape_of(file) == (form.batch, *form.size, 3)
        assert file_precision(onnx.load_model_from_string(file)) == form.precision


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("abpn", (1, 360, 640, 3)),
        ("srcnn", (1, 360, 640, 1)),
        ("ffdnet_rgb", (1, 360, 640, 4)),
        ("oidn_unet", (1, 368, 640, 9)),
        ("mobilenet_v2", (1, 224, 224, 3)),
    ],
)
def test_a_published_network_has_an_input_of_its_own(
    name: str, shape: tuple[int, ...]
) -> None:
    network = resolve(name)
    assert shape_of(network.file(network.own, "openvino")) == shape


def test_the_scale_of_a_published_network_can_be_chosen() -> None:
    output = onnx.load_model_from_string(
        resolve("espcn", scale=3).file(SMALL, "openvino")
    ).graph.output[0]
    assert [d.dim_value for d in output.type.tensor_type.shape.dim] == [1, 48, 72, 3]


def test_an_architectures_json_is_a_network(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(reference("espcn", 2).to_json()))
    network = resolve(str(path))
    assert network.name == "small"
    assert network.file(SMALL, "openvino") == resolve("espcn").file(SMALL, "openvino")


def test_a_case_file_is_read_as_the_architecture_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(json.dumps({"architecture": reference("espcn", 2).to_json()}))
    assert resolve(str(path)).file(SMALL, "openvino")


@pytest.mark.parametrize("named", [".", "case.json"])
def test_a_bundle_gives_its_shipped_file_at_its_precision_and_shape(
    tmp_path: Path, named: str
) -> None:
    folder = bundle(tmp_path / "1a2b")
    network = resolve(str(folder / named))
    assert network.name == "1a2b"
    assert network.own == SMALL
    assert network.file(SMALL, "openvino") == b"trained int8"
    assert network.origin(SMALL, "openvino") == f"the shipped file, {folder / 'int8.onnx'}"
    single = Form("fp32", SMALL.size)
    for engine in ("onnxruntime", "tensorrt"):
        assert network.file(single, engine) == b"trained fp32"


@pytest.mark.parametrize(
    ("form", "engine"),
    [
        (Form("int8", (32, 32)), "openvino"),
        (Form("int8", (16, 24), 2), "openvino"),
        (Form("fp16", (16, 24)), "openvino"),
        (SMALL, "tensorrt"),
        (SMALL, "onnxruntime"),
    ],
)
def test_in_another_form_a_bundle_is_written_anew_and_says_so(
    tmp_path: Path, form: Form, engine: str
) -> None:
    network = resolve(str(bundle(tmp_path / "1a2b")))
    assert shape_of(network.file(form, engine)) == (form.batch, *form.size, 3)
    told = network.origin(form, engine)
    assert told.startswith("written anew with untrained weights")
    assert f"no {form.precision} file for {engine}" in told


def test_a_bundle_without_receipts_is_asked_for_its_shapes(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "1a2b")
    (folder / "latency.json").unlink()
    (folder / "fp32.onnx").unlink()
    (folder / "int8.onnx").write_bytes(conv_net(size=8, int8=True))
    network = resolve(str(folder))
    assert network.own == Form("int8", (8, 8), io="float_nchw")
    assert network.file(network.own, "openvino") == conv_net(size=8, int8=True)
    (folder / "int8.onnx").write_bytes(bytes(100))
    with pytest.raises(UnknownNetwork, match="int8.onnx is no ONNX file"):
        resolve(str(folder))


def test_an_architecture_alone_is_no_bundle(tmp_path: Path) -> None:
    network = resolve(str(bundle(tmp_path / "1a2b") / "architecture.json"))
    assert shape_of(network.file(SMALL, "openvino")) == (1, 16, 24, 3)
    assert network.origin(SMALL, "openvino") == ""


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (["a/int8.onnx", "b/int8.onnx"], ["a/int8", "b/int8"]),
        (["a/x/int8.onnx", "b/x/int8.onnx"], ["a/x/int8", "b/x/int8"]),
        (["a/int8.onnx", "a/fp32.onnx"], ["int8", "fp32"]),
        (["a/int8.onnx", "a/int8.onnx"], ["int8", "int8"]),
        (["espcn", "a/espcn.onnx"], ["espcn", "a/espcn"]),
        (["a/1a2b", "b/1a2b"], ["a/1a2b", "b/1a2b"]),
        (["a/int8.onnx", "./b/int8.onnx", "a/x/int8.onnx"], ["a/int8", "b/int8", "x/int8"]),
    ],
)
def test_networks_of_one_name_are_told_apart_by_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, specs: list[str], names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for spec in specs:
        path = Path(spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_bytes(conv_net(size=8, int8="int8" in spec))
        elif path.parts[1:]:
            bundle(path)
    networks = [resolve(spec) for spec in specs]
    apart = distinct(specs, networks)
    assert [network.name for network in apart] == names
    for before, after in zip(networks, apart, strict=True):
        assert after.file(after.own, "openvino") == before.file(before.own, "openvino")


def test_functions_of_one_name_are_told_apart_by_their_modules(
    modules: str, tmp_path: Path
) -> None:
    (tmp_path / "more_of_mine.py").write_text(MODULES)
    specs = [f"{modules}:up", "more_of_mine:up"]
    assert [n.name for n in distinct(specs, [resolve(s) for s in specs])] == specs


def test_an_onnx_file_is_taken_byte_by_byte_at_its_own_form(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net(size=8, int8=True))
    network = resolve(str(tmp_path / "net.onnx"))
    assert network.own == Form("int8", (8, 8), io="float_nchw")
    assert network.file(network.own, "openvino") == conv_net(size=8, int8=True)


def test_a_static_file_refuses_another_shape_and_another_precision(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net(size=8))
    network = resolve(str(tmp_path / "net.onnx"))
    with pytest.raises(Unsuitable, match=r"static input \(1, 3, 8, 8\), --size"):
        network.file(Form("fp32", (16, 16)), "openvino")
    with pytest.raises(Unsuitable, match="--batch"):
        network.file(Form("fp32", (8, 8), 2), "openvino")
    with pytest.raises(Unsuitable, match="written at fp32"):
        network.file(Form("int8", (8, 8)), "openvino")


def test_open_dimensions_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(dynamic_net())
    network = resolve(str(tmp_path / "net.onnx"))
    assert network.own == Form("fp32", (360, 640), io="float_nchw")
    file = network.file(Form("fp32", (8, 12), 2), "openvino")
    assert shape_of(file) == (2, 3, 8, 12)
    assert isinstance(network, FileNetwork)


def test_a_file_without_pictures_has_its_own_shape(tmp_path: Path) -> None:
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    net = finished([node], {"w": np.ones((6, 2), np.float32)}, "y", [1, 6], [1, 2])
    (tmp_path / "net.onnx").write_bytes(net)
    network = resolve(str(tmp_path / "net.onnx"))
    assert network.own.shape == "-"
    assert network.file(network.own, "openvino") == net
    with pytest.raises(Unsuitable, match="static"):
        network.file(Form("fp32", (8, 8)), "openvino")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "nets_of_mine.py").write_text(MODULES)
    monkeypatch.chdir(tmp_path)
    return "nets_of_mine"


def test_a_function_that_returns_a_module_is_exported(modules: str) -> None:
    network = resolve(f"{modules}:up")
    file = network.file(Form("fp32", (8, 12)), "openvino")
    assert shape_of(file) == (1, 4, 8, 12)
    assert b"nets_of_mine.py" not in file
    assert file == resolve(f"{modules}:up").file(Form("fp32", (8, 12)), "openvino")
    half = onnx.load_model_from_string(network.file(Form("fp16", (8, 12)), "tensorrt"))
    assert file_precision(half) == "fp16"


def test_a_float_module_is_never_called_int8(modules: str) -> None:
    with pytest.raises(Unsuitable, match="quantize it first"):
        resolve(f"{modules}:up").file(SMALL, "openvino")


def test_the_wrong_channels_are_the_users_to_mend(modules: str) -> None:
    with pytest.raises(Unsuitable, match="--channels"):
        resolve(f"{modules}:up", channels=5).file(Form("fp32", (8, 8)), "openvino")


@pytest.mark.parametrize(
    ("function", "words"), [("nothing", "gave a int"), ("broken", "no weights here")]
)
def test_a_function_that_gives_no_module_says_so(
    modules: str, function: str, words: str
) -> None:
    with pytest.raises(Unsuitable, match=words):
        resolve(f"{modules}:{function}").file(Form("fp32", (8, 8)), "openvino")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet", "espcn, espcn_sigmoid"),
        ("no_such_module:net", "cannot be imported"),
        ("nets_of_mine:no_such", "cannot be imported"),
        ("nets_of_mine:numbers", "is a int, not a function"),
        ("broken.json", "holds no architecture"),
        ("broken.onnx", "no ONNX file"),
        ("notes.txt", "neither .json nor .onnx"),
        (".", "has no architecture.json"),
    ],
)
def test_what_is_no_network_is_told_in_one_line(
    modules: str, tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "broken.onnx").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UnknownNetwork, match=words):
        resolve(name)


def test_a_size_that_does_not_divide_is_unsuitable(tmp_path: Path) -> None:
    halved = reference("espcn", 2).to_json() | {"args": {"reduction": "strided"}}
    (tmp_path / "halved.json").write_text(json.dumps(halved))
    with pytest.raises(Unsuitable, match="15x16 does not fit"):
        resolve(str(tmp_path / "halved.json")).file(Form("int8", (15, 16)), "openvino")


@pytest.mark.parametrize("flags", [{"sse2", "avx2"}, {"sse2", "avx2", "avx512_vnni"}])
def test_int8_weights_are_no_larger_than_the_machine_adds_up(
    monkeypatch: pytest.MonkeyPatch, flags: set[str]
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr("latency_models.int8_support.processor_flags", lambda: frozenset(flags))
    model = onnx.load_model_from_string(resolve("espcn").file(SMALL, "openvino"))
    largest = max(
        int(np.abs(onnx.numpy_helper.to_array(t).astype(int)).max())
        for t in model.graph.initializer
        if t.name.endswith(".int8")
    )
    assert largest == largest_weight("openvino") == (127 if "avx512_vnni" in flags else 64)
    assert rules_for("tensorrt").float_type == "fp16"


def test_what_can_be_written_at_any_precision_is_taken_in_fp16_on_rtx_alone() -> None:
    network = resolve("espcn")
    assert usual_precision(network, "tensorrt_rtx") == "fp16"
    assert usual_precision(network, "tensorrt") == usual_precision(network, "openvino") == "int8"
    assert isinstance(network, GraphNetwork)
    bundle = replace(network, bundle=Path("winners/1a2b"))
    assert usual_precision(bundle, "tensorrt_rtx") == "int8"
    assert rules_for("tensorrt_rtx") == rules_for("tensorrt")


@pytest.mark.parametrize("io", ["float_nchw", "uint8_nchw", "uint8_nhwc"])
def test_a_bundle_and_its_file_are_taken_as_they_take_pictures(tmp_path: Path, io: IO) -> None:
    form = Form("int8", (16, 24), io=io)
    file = resolve("espcn").file(form, "openvino")
    (tmp_path / "net.onnx").write_bytes(file)
    network = resolve(str(tmp_path / "net.onnx"))
    assert network.own == form
    assert network.file(network.own, "openvino") == file
    folder = bundle(tmp_path / "1a2b")
    (folder / "latency.json").unlink()
    (folder / "fp32.onnx").unlink()
    (folder / "int8.onnx").write_bytes(file)
    assert resolve(str(folder)).own == form


def test_a_bundle_that_says_nothing_of_bytes_takes_numbers(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "1a2b")
    told = json.loads((folder / "latency.json").read_text())
    for one in told.values():
        del one["io"]
        one["input_shape"] = [1, 3, 16, 24]
    (folder / "latency.json").write_text(json.dumps(told))
    assert resolve(str(folder)).own == Form("int8", (16, 24), io="float_nchw")
