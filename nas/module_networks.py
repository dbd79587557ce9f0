"""A network given as a Python function: exported by `torch.onnx.export`, timed like others."""

from __future__ import annotations

import importlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.networks import Form, UnknownNetwork, Unsuitable
from nas.own_code import described

if TYPE_CHECKING:
    from torch import nn

_OPSET = 20
_COLOURS = 3
_MOST_BYTES = 2**31
"""What protobuf holds in one message."""
_FOR_EXPORT = ("onnxscript", "onnx_ir")


class ModuleNetwork:
    """What `module:function` returns, in evaluation mode, with weights as the function made them.

    The function is called with seeded random numbers, so that a network with random weights is
    the same file each time and its receipts are found again.

    Attributes:
        name: the function's name.
        own: fp32; nothing else can be promised for a module that is not known.
    """

    own = Form("fp32")

    def __init__(self, spec: str, channels: int | None = None) -> None:
        """Import the function; it is called when a file is wanted.

        Raises:
            UnknownNetwork: there is no such function.
        """
        self.name = spec.rpartition(":")[2]
        self._make = _imported(spec)
        self._channels = channels
        self._files: dict[Form, bytes] = {}

    def origin(self, form: Form, engine: str) -> str:
        """Nothing: it is what the function returns."""
        return ""

    def file(self, form: Form, engine: str) -> bytes:
        """Export it at this size; fp16 by `.half()`.

        Raises:
            Unsuitable: int8, or the module cannot be made or exported.
        """
        if form.precision == "int8":
            raise Unsuitable(
                f"{self.name} is a float module: quantize it first and give its int8 ONNX file"
            )
        if len(form.size) != 2:
            raise Unsuitable(f"an input of size {form.shape} is no image: give height x width")
        if form not in self._files:
            self._files[form] = self._export(form)
        return self._files[form]

    def _export(self, form: Form) -> bytes:
        import torch

        module = self._module()
        _require_room(self.name, module)
        channels = self._channels or _input_channels(module)
        example = torch.zeros(form.batch, channels, *form.size)
        if form.precision == "fp16":
            module, example = module.half(), example.half()
        try:
            with _quiet():
                program = torch.onnx.export(
                    module,
                    (example,),
                    input_names=["input"],
                    output_names=["output"],
                    opset_version=_OPSET,
                    dynamo=True,
                    external_data=False,
                    verbose=False,
                )
        except (Exception, SystemExit) as error:
            cause = _cause(error)
            if isinstance(cause, ImportError) and str(cause.name).startswith(_FOR_EXPORT):
                raise Unsuitable(
                    f"torch.onnx.export needs {cause.name}, which comes with freeway-nas and is "
                    "not here: pip install onnxscript"
                ) from error
            raise Unsuitable(
                f"torch.onnx.export refuses {self.name} for an input of "
                f"{tuple(example.shape)}: {described(cause)} (--channels sets the channels)"
            ) from error
        assert program is not None
        if not program.model_proto.graph.output:
            raise Unsuitable(
                f"{self.name} gives no tensor for an input of {tuple(example.shape)}, so there is "
                "nothing to time: its forward has to return what it computes"
            )
        return _without_notes(program.model_proto)

    def _module(self) -> nn.Module:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                with redirect_stdout(sys.stderr):
                    made = self._make
                    module = made if isinstance(made, torch.nn.Module) else made()
            except (Exception, SystemExit) as error:
                raise Unsuitable(f"{self.name}() failed: {described(error)}") from error
        if not isinstance(module, torch.nn.Module):
            raise Unsuitable(f"{self.name}() gave a {type(module).__name__}, not an nn.Module")
        return module.eval()


def _imported(spec: str) -> Callable[[], Any]:
    """The function; the working folder can be imported from, as with `python -m`."""
    module_name, _, function = spec.rpartition(":")
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        # What a user's module prints belongs beside the results, which others may read.
        with redirect_stdout(sys.stderr):
            module = importlib.import_module(module_name)
        made: Callable[[], Any] = getattr(module, function)
    except (Exception, SystemExit) as error:
        raise UnknownNetwork(f"'{spec}' cannot be imported: {described(error)}") from error
    finally:
        sys.path[:] = before
    if not callable(made):
        raise UnknownNetwork(f"'{spec}' is a {type(made).__name__}, not a function")
    return made


def _cause(error: BaseException) -> BaseException:
    """What the exporter stumbled over; its own words say where its issues are filed."""
    while error.__cause__ is not None and type(error).__module__.startswith("torch.onnx"):
        error = error.__cause__
    return error


def _require_room(name: str, module: nn.Module) -> None:
    from torch.nn.parameter import is_lazy

    tensors = [t for t in (*module.parameters(), *module.buffers()) if not is_lazy(t)]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size >= _MOST_BYTES:
        raise Unsuitable(
            f"{name} holds {size / 1e9:.1f} GB of weights, and engines here are given one "
            "protobuf message, which ends at 2.1 GB: time a part of it"
        )


def _input_channels(module: nn.Module) -> int:
    """Those of the first convolution; colour images where there is none."""
    import torch

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d) and part.in_channels:
            return part.in_channels
    return _COLOURS


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns about its own deprecations and prints; a refusal is an exception."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _without_notes(model: Any) -> bytes:
    """The file without the exporter's stack traces, which name folders of this machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    return bytes(model.SerializeToString())
