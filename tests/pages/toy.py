"""`nas` and `python` at toy size, started in an instant: a server that forks for every call.

The settings are those of conf/ with smaller numbers, nothing is timed (the latency follows from
the work), and a benchmark's script reads its arguments and ends.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import runpy
import shutil
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
SMALLER = {
    "study": (r"(candidates|finalists|probe_steps|training_processes): \d+",
              {"candidates": 2, "finalists": 1, "probe_steps": 2, "training_processes": 1}),
    "budget": (r"(max_steps|batch_size|quant_steps|judge_every): [1-9]\d*",
               {"max_steps": 4, "batch_size": 2, "quant_steps": 2, "judge_every": 2}),
    "target": (r"(height|width): \d+", {"height": 48, "width": 64}),
}
_NEEDED = (
    "nas.commands.search", "nas.commands.train", "nas.commands.prune", "nas.commands.bench",
    "nas.commands.show", "nas.pipeline", "nas.study", "nas.report.results", "nas.live.training",
    "nas.workers.shared_study",
    "nas.policies.gaussian_process", "trainers.module", "trainers.tasks.denoising",
    "trainers.tasks.super_resolution", "torch._dynamo", "sklearn.datasets", "skimage.data",
    "search_spaces.fake_quantize", "openvino", "hydra.main", "hydra._internal.utils",
)
_SIZE_IN_NAMES = "${target.height}x${target.width}"
_CLIENT = """\
#!{python} -SE
import os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    environment = "\\0".join(f"{{k}}={{v}}" for k, v in os.environ.items())
    asked = "\\1".join([os.getcwd(), environment, {program!r}, *sys.argv[1:]]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    sys.exit(int(server.recv(16) or b"99"))
"""


def write_toy_conf(folder: Path) -> None:
    """conf/ with smaller numbers and the same names."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("__pycache__"))
    for group, (pattern, numbers) in SMALLER.items():
        for path in (folder / "conf" / group).glob("*.yaml"):
            text = re.sub(pattern, lambda m: f"{m[1]}: {numbers[m[1]]}", path.read_text())  # noqa: B023
            text = re.sub(r"^references: .*$", "references: []", text, flags=re.MULTILINE)
            path.write_text(text.replace(_SIZE_IN_NAMES, "360x640"))
    train, recipe = folder / "conf" / "train.yaml", folder / "conf" / "recipe.yaml"
    train.write_text(train.read_text().replace(_SIZE_IN_NAMES, "360x640"))
    recipe.write_text(recipe.read_text().replace("quant_calibration: 64", "quant_calibration: 4"))


def write_client(path: Path, program: str, address: Path) -> None:
    """A program that asks the server to be `nas` or `python` in its place."""
    words = dict(python=sys.executable, address=str(address), program=program)
    path.write_text(_CLIENT.format(**words))
    path.chmod(0o755)


def serve(address: Path, conf: Path) -> NoReturn:
    """Answer every call in a fork; runs until it is killed."""
    sys.path[:0] = [str(conf), str(ROOT), str(ROOT / "tests" / "nas")]
    _prepare()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        server.listen(8)
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    _answer(connection)
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break


def _prepare() -> None:
    """Import what every call needs, and let latencies follow from the work."""
    for name in _NEEDED:
        importlib.import_module(name)
    import nas.measurements.benches
    import nas.timers
    from latency_models.base import Closing
    from latency_models.compiled import CompiledLatency
    from latency_models.isolated import IsolatedLatency
    from latency_models.measured import MeasuredLatency
    from tests.nas.fake_benches import FakeIsolated

    class Untimed(FakeIsolated, Closing):
        """Runs files for their output, and times none."""

        def run(self, *asked: Any) -> Any:
            return MeasuredLatency(self.engine).run(*asked)

    def timed(factory: Any, **more: Any) -> Any:
        """What compiles and runs nothing is the real one."""
        compiles = factory.func is CompiledLatency
        return IsolatedLatency(factory, **more) if compiles else Untimed(factory, **more)

    nas.timers.IsolatedLatency = timed  # type: ignore[misc, assignment]
    nas.measurements.benches.IsolatedLatency = Untimed  # type: ignore[misc, assignment]


def _answer(connection: socket.socket) -> NoReturn:
    """Be the program that was called, in its folder and with its streams."""
    code = 98
    try:
        length, files, _, _ = socket.recv_fds(connection, 8, 3)
        for number, file in enumerate(files):
            os.dup2(file, number)
        asked = b""
        while len(asked) < int.from_bytes(length, "big"):
            asked += connection.recv(1 << 20)
        folder, environment, program, *arguments = asked.decode().split("\1")
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(pair.split("=", 1) for pair in environment.split("\0"))
        os.environ["TOY_CONF"] = sys.path[0]
        code = _be(program, arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    connection.sendall(str(code).encode())
    os._exit(0)


def _be(program: str, arguments: list[str]) -> int:
    if program == "nas":
        from nas.commands import main

        if any(argument.startswith("study.table=") for argument in arguments):
            # The table holds networks of the real size, and nothing is trained.
            sys.path.remove(os.environ["TOY_CONF"])
        sys.argv = ["nas", *arguments, *os.environ.get("TOY_ARGUMENTS", "").split()]
        return main()
    script, *sys.argv[1:] = arguments
    sys.argv[0] = script
    sys.path.insert(0, str(Path(script).resolve().parent))

    for name in ("parse_args", "parse_intermixed_args"):
        _end_after(name)
    runpy.run_path(script, run_name="__main__")
    raise SystemExit(f"{script} has read no arguments")


def _end_after(name: str) -> None:
    """Let a script end when it has read its arguments: what it does takes minutes to hours."""
    whole = getattr(argparse.ArgumentParser, name)

    def read(self: argparse.ArgumentParser, *given: Any, **how: Any) -> NoReturn:
        whole(self, *given, **how)
        raise SystemExit(0)

    setattr(argparse.ArgumentParser, name, read)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
