"""What a real TensorRT says about ONNX files; it parses and builds on a machine without a GPU.

    pip install tensorrt-rtx-cu12==1.7.1.116
    python benchmarks/tensorrt_answers.py NET.onnx...

With --operators it prints the names of ONNX's operators that the parser knows, as JSON.
Without files it is the child of others: one base64 file a line comes in, one JSON line goes out
per file, after a first line with the library's version. A file that crashes the library then
takes only this process with it, and the lines that were written tell which file it was.
TensorRT for RTX has the parser of TensorRT; that it builds a file does not prove that the full
library has a kernel for it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Library:
    """TensorRT for RTX with a logger that keeps what it is told."""

    def __init__(self) -> None:
        import tensorrt_rtx as trt

        class KeepingLogger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity <= trt.ILogger.Severity.ERROR:
                    self.errors.append(" ".join(message.split()))

        self.trt = trt
        self.version = str(trt.__version__)
        self.log = KeepingLogger()

    def why_refused(self, onnx: bytes, *, build: bool) -> str:
        """Nothing where the file is parsed (and built, if asked), else who refused it and why."""
        self.log.errors.clear()
        builder = self.trt.Builder(self.log)
        network = builder.create_network(0)
        parser = self.trt.OnnxParser(network, self.log)
        if not parser.parse(onnx):
            errors = [parser.get_error(i) for i in range(parser.num_errors)]
            told = "; ".join(f"{e.node_operator()}: {' '.join(e.desc().split())}" for e in errors)
            return f"parser: {told or ' | '.join(self.log.errors)}"
        if not build:
            return ""
        plan = builder.build_serialized_network(network, builder.create_builder_config())
        return f"builder: {' | '.join(self.log.errors)}" if plan is None else ""

    def operators(self) -> list[str]:
        """ONNX's operators that the parser knows, whatever it asks of their inputs."""
        import onnx

        network = self.trt.Builder(self.log).create_network(0)
        parser = self.trt.OnnxParser(network, self.log)
        names = {s.name for s in onnx.defs.get_all_schemas() if s.domain == ""}
        return sorted(name for name in names if parser.supports_operator(name))


def serve(*, build: bool) -> None:
    """Answer each line of the standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints must not come between the answers
    library = Library()
    print(json.dumps(library.version), file=answers, flush=True)
    for line in sys.stdin.buffer:
        reason = library.why_refused(base64.b64decode(line), build=build)
        print(json.dumps(reason), file=answers, flush=True)


def ask(files: Sequence[bytes], *, build: bool = True) -> tuple[str, list[str]]:
    """The library's version and its answer to each file, from a child process."""
    command = [sys.executable, __file__, *([] if build else ["--parse-only"])]
    lines = b"\n".join(base64.b64encode(file) for file in files)
    done = subprocess.run(command, input=lines, capture_output=True, check=False)
    version, *answers = [json.loads(line) for line in done.stdout.splitlines()] or [""]
    if done.returncode and not version:
        raise SystemExit(f"the library does not start:\n{done.stderr.decode()[-2000:]}")
    if done.returncode and len(answers) < len(files):
        answers.append(f"crash: the process ended with {done.returncode}")
        answers += ask(files[len(answers) :], build=build)[1] if len(answers) < len(files) else []
    return version, answers


def known_operators() -> tuple[str, list[str]]:
    """The library's version and its operators, from a child process."""
    command = [sys.executable, __file__, "--operators"]
    done = subprocess.run(command, capture_output=True, check=True)
    version, names = json.loads(done.stdout.splitlines()[-1])
    return str(version), list(names)


def main() -> None:
    """Serve, or print one line per file; the exit status is 1 where one is refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--parse-only", action="store_true", help="do not build what is parsed")
    parser.add_argument("--operators", action="store_true", help="print what the parser knows")
    arguments = parser.parse_args()
    if arguments.operators:
        library = Library()
        print(json.dumps([library.version, library.operators()]))
        return
    build = not arguments.parse_only
    if not arguments.files:
        serve(build=build)
        return
    version, answers = ask([path.read_bytes() for path in arguments.files], build=build)
    for path, reason in zip(arguments.files, answers, strict=True):
        print(f"{path}: {reason or 'taken'} (TensorRT for RTX {version})")
    sys.exit(1 if any(answers) else 0)


if __name__ == "__main__":
    main()
