"""The check agrees with a real TensorRT on ONNX's node tests, whose answers are recorded.

`benchmarks/tensorrt_agreement.py --record` writes the record; the library is not needed here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import node_tests
import onnx
import pytest
import real_tensorrt

from latency_models.trt_compatibility import check

RECORD = Path(__file__).with_name("node_tests_refused.txt")
SAMPLE = 16
FILES: dict[str, Callable[[], dict[str, bytes]]] = {
    "written": node_tests.written,
    "settled": node_tests.settled,
}
NO_CONSTANT = "built, but documented to need a scale that is known when building"
DIFFERENT = {
    "written": {
        "dequantizelinear_e4m3fn": NO_CONSTANT,
        "dequantizelinear_e4m3fn_float16": NO_CONSTANT,
        "dequantizelinear_e4m3fn_zero_point": NO_CONSTANT,
        "quantizelinear_e4m3fn": NO_CONSTANT,
        "equal_uint8": "built from two inputs; refused when one of them is a constant",
    },
    "settled": {
        "clip_default_int8_min": "an INT8 Clip is built with a lower bound alone",
        "quantizelinear_float4e2m1": "built, but an activation is documented to take one scale",
        "tensorscatter": "refused where the update is a constant, which no network has",
    },
}


@cache
def recorded() -> tuple[dict[str, str], dict[str, set[str]]]:
    """The versions of the record, and the names that were refused of each kind of file."""
    versions: dict[str, str] = {}
    sections: dict[str, set[str]] = {"both": set(), "written": set(), "settled": set()}
    names: set[str] | None = None
    for line in RECORD.read_text().splitlines():
        if line.startswith("["):
            names = sections[line.strip("[]")]
        elif names is not None:
            names.add(line)
        elif not line.startswith("#"):
            key, value = line.split()
            versions[key] = value
    return versions, {kind: sections["both"] | sections[kind] for kind in FILES}


@pytest.fixture(params=list(FILES))
def kind(request: pytest.FixtureRequest) -> str:
    versions, _ = recorded()
    if onnx.__version__ != versions["onnx"]:
        pytest.skip(f"onnx is {onnx.__version__}, the answers are about {versions['onnx']}")
    return str(request.param)


@pytest.mark.slow
def test_the_check_differs_from_tensorrt_only_where_it_is_explained(kind: str) -> None:
    refused = recorded()[1][kind]
    differing = {
        name
        for name, file in FILES[kind]().items()
        if any(finding.level == "error" for finding in check(file)) != (name in refused)
    }
    assert differing == set(DIFFERENT[kind])


@pytest.mark.slow
def test_the_record_is_true(kind: str) -> None:
    versions, refused = recorded()
    names = sorted(FILES[kind]())[::SAMPLE]
    files = [FILES[kind]()[name] for name in names]
    told = real_tensorrt.answers(files, version=versions["library"], build=False)
    # What is parsed may still be refused by the builder, which takes longer to ask.
    of_parser = {name for name, answer in zip(names, told, strict=True) if answer}
    assert of_parser <= refused[kind] and len(of_parser) > len(names) / 4
