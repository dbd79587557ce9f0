"""Reading TensorRT's engine inspector, and the check that a precision was really built.

Keys differ between releases: a tensor's type is in `Format/Datatype` (10) or in `Format` and
`DataType` or `Datatype` (11), and layers are plain strings when the plan was built without
details (TensorRT documentation, IEngineInspector). All variants are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latency_models.base import CompileError, Layer, Precision

_TYPE_KEYS = ("Datatype", "DataType", "Format/Datatype", "Format")
_TYPES = (  # searched in this order: "BFloat16" also contains "Float"
    ("int8", r"int8"),
    ("fp8", r"fp8|float8"),
    ("bf16", r"bf16|bfloat16"),
    ("fp16", r"half|fp16|float16"),
    ("fp32", r"fp32|float32|float"),
    ("int32", r"int32"),
    ("int64", r"int64"),
    ("bool", r"bool"),
)
_CONV_KIND = re.compile(r"conv", re.IGNORECASE)
_ONNX_NAME = re.compile(r"\[ONNX Layer:\s*([^\]]+?)\s*\]")


@dataclass(frozen=True)
class EngineLayer:
    """One layer as the inspector describes it; types are of its input and output tensors."""

    name: str
    kind: str
    input_types: tuple[str, ...]
    output_types: tuple[str, ...]
    original_nodes: tuple[str, ...]

    @property
    def precision(self) -> str:
        """The type it computes in: that of its first input, `unknown` without details."""
        types = (*self.input_types, *self.output_types)
        return types[0] if types else "unknown"

    @property
    def is_conv(self) -> bool:
        """True for convolutions, under any of TensorRT's names for them."""
        return bool(_CONV_KIND.search(self.kind))

    def runs_in(self, precision: str) -> bool:
        """True when it computes in that type; of a fused block, when it takes one such input."""
        return precision == self.precision if self.is_conv else precision in self.input_types


def read_layers(inspector_json: str) -> list[EngineLayer]:
    """Parse `EngineInspector.get_engine_information(JSON)` of either major version."""
    information = json.loads(inspector_json)
    entries = information.get("Layers", []) if isinstance(information, Mapping) else information
    return [_layer(entry) for entry in entries]


def as_layers(found: Sequence[EngineLayer], ms: Mapping[str, float]) -> list[Layer]:
    """The common form, with the profiler's time where there is one."""
    return [
        Layer(
            name=layer.name,
            kind=layer.kind,
            precision=layer.precision,
            original_nodes=layer.original_nodes,
            ms=ms.get(layer.name),
        )
        for layer in found
    ]


def require_built_precision(
    found: Sequence[EngineLayer],
    precision: Precision,
    convs: Sequence[tuple[str, str]],
) -> None:
    """Check that the convolutions run in the precision that was asked for.

    Args:
        found: layers of a plan built with details.
        precision: what was asked for.
        convs: name of each Conv node of the file, and the type it is written in.

    Raises:
        CompileError: one of them does not, or nothing can be told.
    """
    convs_last = sorted(found, key=lambda layer: layer.is_conv)  # so that a conv kernel wins
    by_node = {node: layer for layer in convs_last for node in layer.original_nodes}
    wrong = [
        f"'{name}' runs in {by_node[name].precision} instead of {want} ({by_node[name].name})"
        for name, want in convs
        if name in by_node and not by_node[name].runs_in(want)
    ]
    if wrong:
        raise CompileError(
            f"{precision} was asked for, but {len(wrong)} of {len(convs)} convolutions do not run "
            f"as written: {'; '.join(wrong[:5])}. Check with latency_models.trt_compatibility; a "
            "convolution without an int8 kernel must be left unquantized"
        )
    if all(name in by_node for name, _ in convs):
        return
    # Some fused kernels do not name their nodes: then the kernels are counted by type.
    _require_counts(found, precision, [want for _, want in convs])


def _require_counts(
    found: Sequence[EngineLayer], precision: Precision, expected: Sequence[str]
) -> None:
    kernels = [layer.precision for layer in found if layer.is_conv]
    missing = [
        f"{kind}: {kernels.count(kind)} of {wanted}"
        for kind in sorted(set(expected))
        if kernels.count(kind) < (wanted := expected.count(kind))
    ]
    if missing:
        seen = ", ".join(f"{k} {kernels.count(k)}" for k in sorted(set(kernels))) or "none"
        raise CompileError(
            f"{precision} was asked for, and the engine inspector does not show it: convolutions "
            f"expected and found by type are {'; '.join(missing)} (found in all: {seen}). "
            "Pass verify_precision=False to time it all the same"
        )


def _layer(entry: str | Mapping[str, Any]) -> EngineLayer:
    if isinstance(entry, str):
        return EngineLayer(entry, "unknown", (), (), _names(entry, ""))
    name = str(entry.get("Name", ""))
    kind = str(entry.get("LayerType", "unknown"))
    parameter_type = str(entry.get("ParameterType", ""))
    return EngineLayer(
        name=name,
        kind=parameter_type if _CONV_KIND.search(parameter_type) else kind,
        input_types=_types(entry.get("Inputs", ())),
        output_types=_types(entry.get("Outputs", ())),
        original_nodes=_names(name, str(entry.get("Metadata", ""))),
    )


def _types(tensors: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(_type(tensor) for tensor in tensors)


def _type(tensor: Mapping[str, Any]) -> str:
    for key in _TYPE_KEYS:
        text = str(tensor.get(key, "")).lower()
        for name, pattern in _TYPES:
            if re.search(pattern, text):
                return name
    return "unknown"


def _names(name: str, metadata: str) -> tuple[str, ...]:
    """ONNX node names: from the metadata, else from the joined name of the fused layer."""
    found = _ONNX_NAME.findall(metadata)
    if found:
        return tuple(dict.fromkeys(found))
    return tuple(part.strip() for part in re.split(r"\s\+\s|\s\|\|\s|,", name) if part.strip())
