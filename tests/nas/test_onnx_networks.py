"""ONNX files of others: what is read, what is filled in, and what has to be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from latency_models.base import graph_inputs
from nas.networks import Form, UnknownNetwork, Unsuitable, resolve
from nas.onnx_networks import FileNetwork, Given, onnx_network
from tests.latency_models.small_nets import finished

KERNEL = np.ones((8, 3, 3, 3), np.float32)


def net(*, dims: Any = (1, 3, 16, 16), out: Any = (1, 8, 16, 16)) -> Any:
    """A convolution, as a model to change."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1] * 4)
    return onnx.load_model_from_string(finished([node], {"w": KERNEL}, "y", dims, out))


def written(folder: Path, model: Any) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def value(name: str, dims: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, dims)


def shapes(file: bytes) -> dict[str, list[int]]:
    inputs = graph_inputs(onnx.load_model_from_string(file))
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inputs}


def with_sizes(folder: Path) -> Path:
    """A Resize whose sizes are an input, before the picture."""
    model = net(out=(1, 8, "a", "b"))
    model.graph.node[0].output[0] = "c"
    model.graph.node.append(helper.make_node("Resize", ["c", "", "", "sizes"], ["y"]))
    model.graph.input.insert(0, value("sizes", [4], TensorProto.INT64))
    return written(folder, model)


@pytest.mark.parametrize("dims", [(1, 3, 16, 16), ("n", 3, "h", "w")])
def test_weights_among_the_inputs_are_no_inputs(tmp_path: Path, dims: Any) -> None:
    model = net(dims=dims, out=(dims[0], 8, *dims[2:]))
    model.graph.input.insert(0, value("w", KERNEL.shape))
    model.ir_version = 3
    network = onnx_network(written(tmp_path, model))
    is_open = dims[0] == "n"
    assert network.dims == ((None, 3, None, None) if is_open else dims)
    form = Form("fp32", (12, 20) if is_open else (16, 16))
    assert shapes(network.file(form, "openvino")) == {"x": [1, 3, *form.size]}


@pytest.mark.parametrize("open_dim", [-1, 0])
def test_dimensions_that_are_written_as_numbers_below_one_are_open(
    tmp_path: Path, open_dim: int
) -> None:
    model = net()
    for part in (model.graph.input[0], model.graph.output[0]):
        for axis in (0, 2, 3):
            part.type.tensor_type.shape.dim[axis].dim_value = open_dim
    network = onnx_network(written(tmp_path, model))
    assert network.dims == (None, 3, None, None)
    assert network.own == Form("fp32", (360, 640), io="float_nchw")
    file = network.file(Form("fp32", (8, 12), 2), "openvino")
    assert shapes(file) == {"x": [2, 3, 8, 12]}
    onnx.checker.check_model(file, full_check=True)


def two_inputs(folder: Path, second: Any) -> Path:
    model = net(dims=("n", 3, "h", "w"), out=("n", 8, "h", "w"))
    model.graph.input.append(value("guide", second))
    return written(folder, model)


def test_dimensions_of_one_name_are_filled_in_alike(tmp_path: Path) -> None:
    network = onnx_network(two_inputs(tmp_path, ("n", 1, "h", "w")))
    file = network.file(Form("fp32", (8, 12), 2), "openvino")
    assert shapes(file) == {"x": [2, 3, 8, 12], "guide": [2, 1, 8, 12]}


@pytest.mark.parametrize("second", [("n", 3, "h2", "w2"), ("n", 3, None, None)])
def test_a_further_input_of_a_size_of_its_own_is_asked_for(tmp_path: Path, second: Any) -> None:
    path = two_inputs(tmp_path, second)
    form = Form("fp32", (8, 12))
    with pytest.raises(Unsuitable, match="'guide' .*--input guide=1x3x64x64"):
        onnx_network(path).file(form, "openvino")
    network = onnx_network(path, {"guide": Given(shape=(1, 3, 16, 24))})
    assert shapes(network.file(form, "openvino"))["guide"] == [1, 3, 16, 24]
    assert network.origin(form, "openvino") == "given: guide = 1x3x16x24"


def test_one_name_for_two_sides_means_that_they_are_equal(tmp_path: Path) -> None:
    network = onnx_network(written(tmp_path, net(dims=(1, 3, "s", "s"), out=(1, 8, "s", "s"))))
    assert shapes(network.file(Form("fp32", (8, 8)), "openvino")) == {"x": [1, 3, 8, 8]}
    with pytest.raises(Unsuitable, match="calls two dimensions 's'.*8 and 12"):
        network.file(Form("fp32", (8, 12)), "openvino")


def test_whole_numbers_are_asked_for_and_never_made_up(tmp_path: Path) -> None:
    path = with_sizes(tmp_path)
    network = onnx_network(path)
    with pytest.raises(Unsuitable, match="--input sizes=1,3,720,1280"):
        network.file(network.own, "openvino")
    told = onnx_network(path, {"sizes": Given(values=(1, 8, 32, 32))})
    assert told.own == Form("fp32", (16, 16), io="float_nchw")
    file = told.file(told.own, "openvino")
    assert shapes(file) == {"x": [1, 3, 16, 16]}
    (output,) = onnx.shape_inference.infer_shapes(
        onnx.load_model_from_string(file), data_prop=True
    ).graph.output
    assert [d.dim_value for d in output.type.tensor_type.shape.dim] == [1, 8, 32, 32]
    assert "sizes = 1,8,32,32" in told.origin(told.own, "openvino")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sizes": Given(values=(1, 8))}, "is .4., and 2 values do not fill it"),
        ({"size": Given(values=(1,))}, "has no input 'size': there are sizes, x"),
        ({"x": Given(shape=(1, 3, 8, 8))}, r"is \[1, 3, 16, 16\], not \[1, 3, 8, 8\]"),
        ({"x": Given(values=(1,)), "sizes": Given(values=(9,))}, "left to be timed"),
    ],
)
def test_what_is_given_has_to_fit(tmp_path: Path, given: Any, words: str) -> None:
    with pytest.raises(UnknownNetwork, match=words):
        onnx_network(with_sizes(tmp_path), given)


def stored_beside(folder: Path, location: str, *, constant: bool) -> Path:
    """The kernel lies in a file of its own, as a weight or in a Constant."""
    (folder / "const.data").write_bytes(KERNEL.tobytes())
    (folder.parent / "secret.data").write_bytes(KERNEL.tobytes())
    model = net()
    del model.graph.initializer[:]
    tensor = numpy_helper.from_array(KERNEL, "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    if constant:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    else:
        model.graph.initializer.append(tensor)
    return written(folder, model)


@pytest.mark.parametrize("constant", [False, True], ids=["weight", "constant"])
def test_data_beside_the_file_is_read_into_it(tmp_path: Path, constant: bool) -> None:
    (tmp_path / "net").mkdir()
    path = stored_beside(tmp_path / "net", "const.data", constant=constant)
    network = onnx_network(path)
    file = network.file(network.own, "openvino")
    assert KERNEL.tobytes() in file and b"const.data" not in file


@pytest.mark.parametrize("constant", [False, True], ids=["weight", "constant"])
@pytest.mark.parametrize("location", ["../secret.data", "/etc/hostname", "link.data", "gone.data"])
def test_data_outside_the_files_folder_is_refused(
    tmp_path: Path, location: str, constant: bool
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "link.data").symlink_to(tmp_path / "secret.data")
    path = stored_beside(folder, location, constant=constant)
    with pytest.raises(UnknownNetwork, match="no ONNX file that can be read") as told:
        onnx_network(path)
    assert "\n" not in str(told.value)


def test_what_protobuf_cannot_hold_is_told_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(UnknownNetwork, match="holds 2.1 GB .* protobuf message"):
        onnx_network(path)
    model = net()
    tensor = model.graph.initializer[0]
    tensor.dims[:] = [2**15, 2**15, 1, 1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="nowhere.data")
    with pytest.raises(UnknownNetwork, match="holds 4.3 GB .* protobuf message"):
        onnx_network(written(tmp_path, model))


def test_a_file_that_computes_nothing_is_refused(tmp_path: Path) -> None:
    model = net()
    del model.graph.output[:]
    with pytest.raises(UnknownNetwork, match="has no output"):
        onnx_network(written(tmp_path, model))
    for content in (b"", bytes(4096)):
        (tmp_path / "empty.onnx").write_bytes(content)
        with pytest.raises(UnknownNetwork, match="no ONNX file"):
            onnx_network(tmp_path / "empty.onnx")


def test_a_file_is_what_its_name_stands_for(tmp_path: Path) -> None:
    assert isinstance(resolve(str(written(tmp_path, net()))), FileNetwork)
