"""Small files for the rules about TensorRT, with what the real library says about each.

The answers are those of TensorRT for RTX 1.7.1.116, which parses and builds without a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

LIBRARY = "1.7.1.116"


@dataclass(frozen=True)
class Small:
    """One network of a few nodes, the check's errors about it and the library's answer.

    Attributes:
        name: what is special about it.
        text: the graph in ONNX's own syntax.
        refused: words of the library's refusal; empty where it builds the file.
        rules: the check's errors. With an empty `refused` they are kept on purpose: the library
            builds another network than the one that was written, or against its documentation.
        advice: advice that the check gives.
        opset: the file's opset.
    """

    name: str
    text: str
    refused: str = ""
    rules: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    opset: int = 20

    def file(self) -> bytes:
        """The network as an ONNX file."""
        # Domains other than ONNX's own are known, too: one file has an operator of such a domain.
        head = f'<ir_version: 10, opset_import: ["": {self.opset}, "com.example": 1]>'
        return bytes(onnx.parser.parse_model(head + self.text).SerializeToString())


def one(node: str, *, kind: str = "float", out: str = "", constants: str = "") -> str:
    """A graph around one node that reads x of (1, 4, 8, 8)."""
    return f"g ({kind}[1,4,8,8] x) => ({out or kind}[A,B,C,D] y) <{constants}> {{ y = {node} }}"


ATTENTION = "g ({0} q, {0} k, {0} v) => ({0} y) {{ y = Attention{1}(q, k, v) }}"
