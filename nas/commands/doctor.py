"""`nas doctor`: what this machine can time, and whether TensorRT would take a file."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nas.commands import fail
from nas.commands.arguments import Mistake, Parser

_FOR_CPUS = "int8 zero point"
_PACKAGES = (
    "torch", "pytorch-lightning", "optuna", "onnx", "openvino", "onnxruntime", "tensorrt",
    "tensorrt-rtx-cu12",
)


def main(arguments: list[str]) -> int:
    """Print the findings; exit code 2 when a file has an error."""
    parser = Parser(
        "nas doctor",
        description="Tell which engines run here and why others do not, what the processor's "
        "int8 arithmetic holds, and what the machine is doing. With ONNX files: whether TensorRT "
        "takes them, by its own parser where TensorRT for RTX is installed (it needs no GPU), "
        "else by TensorRT's documented rules.",
        epilog="example: nas doctor runs/*/winners/*/fp32.onnx. An int8 file for CPUs holds uint8 "
        "tensors, which TensorRT refuses; with target.engine=tensorrt the file that ships is one "
        "for TensorRT.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="file.onnx")
    try:
        files: list[Path] = parser.parse_args(arguments).files
    except Mistake as error:
        return fail(str(error))
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        return fail(f"no such file: {', '.join(missing)}")
    others = [str(path) for path in files if not path.is_file()]
    if others:
        return fail(f"give ONNX files, which {', '.join(others)} is not: as in a folder's *.onnx")
    if files:
        return _check(files)
    _tell_machine()
    return 0


def _tell_machine() -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from latency_models import device
    from latency_models.engines import ENGINES, make_engine
    from latency_models.int8_support import largest_weight

    console = Console()
    table = Table("engine", "here", "on", box=None, header_style="bold", pad_edge=False)
    for name in ENGINES:
        engine = make_engine(name)
        reason = engine.available()
        if reason is None:
            table.add_row(name, f"yes, {engine.version()}", engine.device())
        elif getattr(engine, "builds", engine.available)() is None:
            table.add_row(name, escape(f"{engine.version()}: {reason}"), "")
        else:
            table.add_row(name, escape(f"no: {reason}"), "")
    console.print(table)
    top = largest_weight("openvino")
    exact = "exact" if top > 100 else f"no VNNI, exact with weights up to {top}: so written here"
    console.print(f"\nint8 on this processor: {exact}")
    facts = ", ".join(f"{key} {value}" for key, value in device.conditions().items())
    console.print(f"now: {facts}", markup=False)
    console.print(", ".join(f"{name} {_version(name)}" for name in _PACKAGES), markup=False)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _whole(path: Path) -> bytes:
    """The file with what lies beside it; as it is where that is refused, as the check tells."""
    from nas.networks import UnknownNetwork
    from nas.onnx_networks import onnx_network

    try:
        return onnx_network(path).onnx
    except UnknownNetwork:
        return path.read_bytes()


def _check(files: list[Path]) -> int:
    from latency_models.trt_examined import Examiner

    errors, rules = 0, set()
    with Examiner() as examiner:
        for path in files:
            examined = examiner.examine(_whole(path))
            findings = examined.findings
            errors += len(examined.errors)
            rules |= {finding.rule for finding in examined.errors}
            count = f"{len(findings) or 'no'} finding{'s' if len(findings) != 1 else ''}"
            print(f"{path}: {count} (by {examined.by})")
            for finding in findings:
                line = f"{finding.level}: {finding.node}: {finding.message} [{finding.rule}]"
                print(f"  {' '.join(line.split())}")
    if not errors:
        return 0
    words = f"not for TensorRT: {errors} error{'s' if errors > 1 else ''}"
    if _FOR_CPUS in rules:
        words += "; these int8 files are for CPUs: target.engine=tensorrt writes them for TensorRT"
    return fail(words)
