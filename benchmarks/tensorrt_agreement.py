"""Does `trt_compatibility.check` say what a real TensorRT says?

    pip install tensorrt-rtx-cu12==1.7.1.116
    python benchmarks/tensorrt_agreement.py [--answers FILE] [--out FILE] [--record FILE]

Every node test of the installed onnx is parsed and built twice: as it is written, with axes,
scales and weights as inputs of the network, and settled, with all inputs but the first as
constants, which is what networks look like. The networks of the onnx wheel and the files of the
rules' own tests follow. A miss is a
file that the check lets pass and the library refuses; a false alarm is the other way round. With
--answers the library is asked once (a minute or two) and the table is a matter of seconds after.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx

from latency_models.base import CompileError
from latency_models.isolated import Isolated
from latency_models.trt_compatibility import check
from latency_models.trt_examined import Parser

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "latency_models"))
KINDS = ("agree taken", "agree refused", "miss", "false alarm")
BATCH = 50


@dataclass(frozen=True)
class Verdict:
    """One file: what the check says and what the library says.

    Attributes:
        files: which set the file is of.
        name: its name in the set.
        operator: what it is about.
        errors: rules and messages of the check's errors.
        answer: why the library refuses it; empty where it builds it.
    """

    files: str
    name: str
    operator: str
    errors: tuple[str, ...]
    answer: str

    @property
    def kind(self) -> str:
        """How the two compare, one of KINDS."""
        if bool(self.errors) == bool(self.answer):
            return "agree refused" if self.answer else "agree taken"
        return "miss" if self.answer else "false alarm"


def sets_of_files() -> dict[str, dict[str, bytes]]:
    """The files to compare on."""
    import node_tests
    from tensorrt_refused import REFUSED
    from tensorrt_taken import KEPT, TAKEN

    return {
        "as written": node_tests.written(),
        "settled": node_tests.settled(),
        "networks": wheel_networks(),
        "rules": {small.name: small.file() for small in (*REFUSED, *TAKEN, *KEPT)},
    }


def wheel_networks() -> dict[str, bytes]:
    """Small networks and parts of networks that come with onnx; most are exported by PyTorch."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    paths = sorted(folder.rglob("*.onnx"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def answers_to(files: Mapping[str, bytes], cache: Path | None) -> tuple[str, dict[str, str]]:
    """The library's version and its answers by name; the cache is extended after each batch."""
    kept = json.loads(cache.read_text()) if cache and cache.is_file() else {}
    version, known = kept.get("version", ""), dict(kept.get("answers", {}))
    keys = {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    missing = [name for name in files if keys[name] not in known]
    with Isolated(Parser) as library:
        now = str(library.ask("version"))
        if version and now != version:
            raise SystemExit(f"{cache} holds answers of {version}, installed is {now}")
        for count, name in enumerate(missing, 1):
            known[keys[name]] = _answer(library, files[name])
            if cache and (count % BATCH == 0 or count == len(missing)):
                cache.write_text(json.dumps({"version": now, "answers": known}))
    version = now
    return version, {name: known[key] for name, key in keys.items()}


def _answer(library: Isolated, file: bytes) -> str:
    """Why the library refuses a file; one that crashes it is refused for that."""
    try:
        return str(library.ask("refusal", file))
    except CompileError as error:
        return f"crash: {error}"


def verdicts(files: str, named: Mapping[str, bytes], answers: Mapping[str, str]) -> list[Verdict]:
    """The check's word on each file beside the library's."""
    import node_tests

    found = []
    for name, file in named.items():
        errors = [f for f in check(file) if f.level == "error"]
        words = tuple(sorted({f"{finding.rule}: {finding.message}" for finding in errors}))
        operator = node_tests.main_operator(file)
        found.append(Verdict(files, name, operator, words, answers[name]))
    return found


def show(files: str, found: list[Verdict]) -> None:
    """Print the agreement, the operators on which the two differ, and each difference."""
    totals = Counter(verdict.kind for verdict in found)
    print(f"\n{files}: {len(found)} files")
    print("  " + ", ".join(f"{totals[kind]} {kind}" for kind in KINDS))
    differing = [v for v in found if v.kind in ("miss", "false alarm")]
    by_operator = Counter((v.operator, v.kind) for v in differing)
    for operator in sorted({v.operator for v in differing}):
        misses, alarms = (by_operator[operator, kind] for kind in ("miss", "false alarm"))
        print(f"  {operator:28} {misses:4} misses {alarms:4} false alarms")
    for verdict in differing:
        print(f"    {verdict.kind} {verdict.name}: {verdict.answer or verdict.errors[0]}"[:160])


def record(found: list[Verdict], version: str) -> str:
    """The refused node tests as text, one name a line, for tests without the library."""
    refused: dict[str, set[str]] = {"as written": set(), "settled": set()}
    for verdict in found:
        if verdict.answer and verdict.files in refused:
            refused[verdict.files].add(verdict.name)
    written, settled = refused["as written"], refused["settled"]
    lines = [
        f"# What TensorRT for RTX refuses of the node tests of onnx {onnx.__version__}.",
        f"onnx {onnx.__version__}",
        f"library {version}",
    ]
    for title, names in (
        ("both", written & settled),
        ("written", written - settled),
        ("settled", settled - written),
    ):
        lines += [f"[{title}]", *sorted(names)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the arguments, ask, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=Path, help="the library's answers, kept between runs")
    parser.add_argument("--out", type=Path, help="every verdict as JSON")
    parser.add_argument("--record", type=Path, help="the refused node tests, for the test suite")
    arguments = parser.parse_args()
    everything: list[Verdict] = []
    version = ""
    for files, named in sets_of_files().items():
        version, answers = answers_to(named, arguments.answers)
        found = verdicts(files, named, answers)
        show(files, found)
        everything += found
    print(f"\nTensorRT for RTX {version}, onnx {onnx.__version__}")
    if arguments.out:
        rows = [asdict(verdict) | {"kind": verdict.kind} for verdict in everything]
        report = {"library": version, "onnx": onnx.__version__, "verdicts": rows}
        arguments.out.write_text(json.dumps(report, indent=1))
    if arguments.record:
        arguments.record.write_text(record(everything, version))


if __name__ == "__main__":
    main()
