"""What can only be measured on a GPU, in one command of at most eight minutes and one table.

    python benchmarks/gpu.py [--out gpu.json] [--minutes 8] [--rtx FOLDER]
    python benchmarks/gpu.py --device cpu --smallest        # the same script without a GPU

Needs PyTorch, Lightning, onnx and numpy; what else is here is found. Each part runs in a process
of its own with a time limit of its own: one that fails or hangs is a line of the table. The JSON
is complete after every line. `docs/gpu.md` says what each line means.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

_HERE = Path(__file__).resolve().parent
# A bare machine has a copy of the repository and has not installed it.
sys.path[:0] = [str(_HERE), str(_HERE.parent)]

from gpu_parts.base import Form, Row, one_line  # noqa: E402
from gpu_parts.conductor import MACHINE, PARTS, Part, conduct, seconds_for  # noqa: E402
from gpu_parts.forms import form_for  # noqa: E402
from gpu_parts.record import Record, header, line_of  # noqa: E402

_MACHINE_S = 90.0
_ENDING_S = 5.0
"""Of all the time, for removing the caches."""


def main() -> int:
    """Run all parts; 0 when none failed, 1 when one did, 2 where there is no GPU."""
    asked = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _leave)
    until = time.monotonic() + 60 * asked.minutes - _ENDING_S
    form = form_for(asked.device, smallest=asked.smallest)
    with tempfile.TemporaryDirectory(prefix="freeway-gpu-") as caches:
        env = _environment(Path(caches), asked.rtx)
        machine = _machine(form, min(_MACHINE_S, 60 * asked.minutes), env)
        why = _why_not(machine, form)
        if why:
            print(f"{why}; --device cpu runs the same script without a GPU", file=sys.stderr)
            return 2
        about = {
            "script": "benchmarks/gpu.py", "device": form.device, "minutes": asked.minutes,
            "smallest": asked.smallest, "began": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        return _run(form, _chosen(asked.only), machine, until, Record(asked.out, about), env)


def _run(
    form: Form, parts: Sequence[Part], machine: Row, until: float, record: Record,
    env: Mapping[str, str],
) -> int:  # fmt: skip
    """Every part in its turn; prints and keeps each row as it comes."""

    def tell(row: Row) -> None:
        record.add(row)
        print(line_of(row), flush=True)

    print(header(), flush=True)
    tell(machine)
    began = time.monotonic()
    here = set(machine.facts["libraries"])
    waiting = [part for part in parts if not part.needs or here & set(part.needs)]
    for part in parts:
        if part not in waiting:
            words = f"not installed: {' or '.join(part.needs)}"
            tell(Row(part.name, "", "absent", words=words))
            continue
        later = tuple(waiting[waiting.index(part) + 1 :])
        seconds = seconds_for(part, later, until - time.monotonic())
        if seconds < part.least_s:
            tell(Row(part.name, "", "skipped", words="skipped: time"))
            continue
        conduct(part, form, seconds, tell, env)
    record.write(ended=True)
    counts = ", ".join(f"{n} {outcome}" for outcome, n in record.outcomes().items())
    print(f"{counts}; {time.monotonic() - began:.0f} s", flush=True)
    return int("failed" in record.outcomes())


def _machine(form: Form, seconds: float, env: Mapping[str, str]) -> Row:
    """What the machine part told last: its facts, or why it failed."""
    rows: list[Row] = []
    conduct(MACHINE, form, seconds, rows.append, env)
    return rows[-1] if rows else Row("machine", "", "failed", words="it said nothing")


def _why_not(machine: Row, form: Form) -> str:
    """Why nothing can be measured as asked; empty where it can."""
    if machine.outcome != "measured":
        return f"this machine cannot be looked at: {machine.words}"
    if form.device == "cuda" and machine.facts["no_cuda"]:
        return f"no CUDA: {one_line(machine.facts['no_cuda'])}"
    return ""


def _environment(caches: Path, rtx: Path | None) -> dict[str, str]:
    """For the parts: empty caches, so that what was compiled before is not found compiled.

    A process compiles its kernels itself: several run beside each other, and each would start a
    compiler for every core.
    """
    env = {
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        **os.environ,
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "TRITON_CACHE_DIR": str(caches / "triton"),
        "XDG_CACHE_HOME": str(caches),
    }
    if rtx is not None:
        known = env.get("PYTHONPATH")
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(rtx.resolve()), known)))
    return env


def _chosen(only: Sequence[str] | None) -> list[Part]:
    return [part for part in PARTS if not only or part.name in only]


def _leave(number: int, frame: Any) -> NoReturn:
    """End the part that runs, and the script as the shell expects it."""
    raise SystemExit(128 + number)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="JSON of the table")
    parser.add_argument("--minutes", type=float, default=8.0, help="most time for everything")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--smallest", action="store_true", help="one network at toy size")
    parser.add_argument(
        "--rtx", type=Path, metavar="FOLDER", help="where tensorrt_rtx lies, if not installed"
    )
    parser.add_argument(
        "--only", nargs="+", choices=[part.name for part in PARTS], metavar="PART",
        help=f"of {', '.join(part.name for part in PARTS)}",
    )  # fmt: skip
    asked = parser.parse_args()
    if asked.minutes <= 0:
        parser.error(f"--minutes is {asked.minutes:g}: give a time above 0")
    if asked.rtx is not None and not asked.rtx.is_dir():
        parser.error(f"--rtx {asked.rtx} is no folder")
    if not asked.out.resolve().parent.is_dir():
        parser.error(f"--out {asked.out}: there is no such folder")
    return asked


if __name__ == "__main__":
    sys.exit(main())
