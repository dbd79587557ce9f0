"""Whether a bundle is what was exported, and does here what it did there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from latency_models.base import (
    PRECISIONS,
    CompileError,
    DeviceError,
    Engine,
    EngineUnavailable,
    LatencyReport,
    Precision,
)
from nas.any_size import graph_of
from nas.card import CARD
from nas.golden import ARRAYS, GOLDEN, Golden, Made, read_golden
from nas.measurements.benches import open_bench
from nas.report.describe import milliseconds
from runtime.engines import ENGINES, compiled
from runtime.manifest import (
    ARCHITECTURE,
    MANIFEST,
    RECEIPTS,
    BadBundle,
    Manifest,
    read_manifest,
)
from runtime.signature import Signature, signature_of
from search_spaces.any_size import is_any_size, of_size
from trainers.base import Arrays


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        what: it was.
        passed: None where it could not be looked at here.
        told: what was found, in one line.
    """

    what: str
    passed: bool | None
    told: str


@dataclass(frozen=True)
class _Bundle:
    manifest: Manifest
    files: Mapping[str, bytes]
    signature: Signature

    def timed(self, name: str, receipt: LatencyReport) -> bytes:
        """The file that a receipt is of, where the bundle's own leaves its size open."""
        file = self.files[f"{name}.onnx"]
        if not is_any_size(file):
            return file
        if GOLDEN in self.files:
            height, width = self.manifest.json(GOLDEN)[name]["size"]
        else:
            # From before there were golden outputs, and with them networks of several inputs.
            first = 1 if receipt.io == "uint8_nhwc" else 2
            height, width = receipt.input_shape[first : first + 2]
        return of_size(file, graph_of(self.manifest), height=height, width=width)

    def precision(self, name: str) -> Precision:
        """Of a file by its name without `.onnx`: `int8`, or `small-int8` of a further target."""
        found = name.rsplit("-", 1)[-1]
        return next((precision for precision in PRECISIONS if precision == found), "fp32")


def verify(folder: Path, *, timed: bool = False, within: float | None = None) -> Iterator[Check]:
    """Look at one thing after the other; what is no bundle ends with the first.

    Args:
        timed: measure the receipts again.
        within: how much slower than its receipt a file may be, relative; None for any.
    """
    try:
        manifest = read_manifest(folder)
    except BadBundle as error:
        yield Check("bundle", False, str(error))
        return
    files, broken = _read(manifest)
    yield from (Check("file", False, told) for told in broken)
    if not broken:
        yield Check(f"{len(files)} files", True, "as they were exported")
    yield from _unknown(manifest)
    if ARCHITECTURE not in files:
        return
    try:
        bundle = _Bundle(manifest, files, signature_of(manifest.json(ARCHITECTURE)))
    except (KeyError, TypeError, ValueError) as error:
        yield Check(ARCHITECTURE, False, f"it describes no network ({error}): export it again")
        return
    yield from _golden(bundle)
    if timed and RECEIPTS in files:
        yield from _timed(bundle, within)


def _read(manifest: Manifest) -> tuple[dict[str, bytes], list[str]]:
    """Every file that is as it was, and a line for each that is not."""
    files, broken = dict[str, bytes](), list[str]()
    for name in manifest.hashes:
        try:
            files[name] = manifest.read(name)
        except BadBundle as error:
            broken.append(str(error))
    for name in (ARCHITECTURE, RECEIPTS):
        if name not in manifest.hashes:
            broken.append(f"{manifest.folder / MANIFEST} names no {name}: export it again")
    if not any(name.endswith(".onnx") for name in manifest.hashes):
        broken.append(f"{manifest.folder / MANIFEST} names no ONNX file: export it again")
    return files, broken


def _unknown(manifest: Manifest) -> Iterator[Check]:
    """What lies in the folder and nobody vouches for, and what an older bundle lacks."""
    known = {*manifest.hashes, MANIFEST}
    for path in sorted(manifest.folder.iterdir()):
        if path.name not in known:
            yield Check(path.name, None, f"not named in {MANIFEST}: it came later")
    lacks = [name for name in (GOLDEN, ARRAYS, CARD) if name not in manifest.hashes]
    if lacks:
        yield Check(
            "older bundle", None, f"it has no {', '.join(lacks)}: export it again to have them"
        )


def _golden(bundle: _Bundle) -> Iterator[Check]:
    """The golden outputs on every engine that runs here."""
    arrays, made = (name in bundle.files for name in (ARRAYS, GOLDEN))
    if not (arrays and made):
        return
    try:
        golden = read_golden(bundle.files[ARRAYS], bundle.manifest.json(GOLDEN))
    except (ValueError, KeyError, TypeError, OSError, BadZipFile) as error:
        yield Check(ARRAYS, False, f"it cannot be read ({error}): export it again")
        return
    for name, known in golden.made.items():
        for engine in dict.fromkeys((known.engine, *ENGINES)):
            if f"{name}.onnx" in bundle.files:
                yield _on_engine(bundle, golden, name, engine)


def _on_engine(bundle: _Bundle, golden: Golden, name: str, engine: str) -> Check:
    known, what = golden.made[name], f"{name} on {engine}"
    try:
        here = _engine(engine)
        what = f"{what} {here.version()}"
        match = golden.match(name, _run(bundle, golden, name, here))
    except EngineUnavailable as error:
        return Check(what, None, f"not run: {_line(error)}")
    except Exception as error:
        # Engines raise what they like; of a file for another one it says nothing.
        refused = False if engine == known.engine else None
        return Check(what, refused, f"does not run it: {_line(error)}")
    passed = match.largest <= known.largest and match.mean <= known.mean
    if match.exact:
        return Check(what, True, "the golden output bit for bit")
    told = (
        f"{match.largest:.2g} from the golden output (at most {known.largest:g}), "
        f"{match.mean:.2g} in the mean (at most {known.mean:g})"
    )
    return Check(what, passed, told + _why_not_exact(known, here))


def _why_not_exact(known: Made, here: Engine) -> str:
    if here.name != known.engine:
        return f"; it is of {known.engine} {known.engine_version}"
    if here.version() != known.engine_version:
        return f"; it is of {known.engine_version}"
    if here.device() != known.device:
        return f"; it is of the same version on {known.device}"
    return "; engine, version and device are the same, and not every bit"


def _engine(name: str) -> Engine:
    """The engine, where it can run here.

    Raises:
        EngineUnavailable: it cannot, or there is none of this name.
    """
    from latency_models.engines import make_engine

    try:
        engine = make_engine(name)
    except (KeyError, ValueError) as error:
        raise EngineUnavailable(f"there is no engine '{name}' here") from error
    if (reason := engine.available()) is not None:
        raise EngineUnavailable(reason)
    return engine


def _run(bundle: _Bundle, golden: Golden, name: str, engine: Engine) -> list[Arrays]:
    """What the file makes of the golden frames, by what runs it in a product where that can."""
    onnx, signature = bundle.files[f"{name}.onnx"], bundle.signature
    frames, size = golden.frames(name, signature), golden.made[name].size
    if engine.name not in ENGINES:
        from latency_models.measured import MeasuredLatency

        precision = bundle.precision(name)
        return MeasuredLatency(engine).run(onnx, precision, frames, signature.carried)
    shapes = {port.name: (1, *port.shape(*size)) for port in signature.inputs}
    ready = compiled(engine.name, onnx, shapes, 1)
    return list(signature.unroll(lambda given: ready.run(given), frames))


def _timed(bundle: _Bundle, within: float | None) -> Iterator[Check]:
    """Each file that ships, timed as its receipt says and held against it."""
    receipts = bundle.manifest.json(RECEIPTS)
    targets: Mapping[str, Any] = receipts.get("targets", {})
    asked: list[tuple[str, Any]] = [(p, receipts[p]) for p in PRECISIONS if p in receipts]
    asked += [
        (str(one["file"]).removesuffix(".onnx"), one[precision])
        for one in targets.values() for precision in PRECISIONS
        if precision in one and str(one["file"]).endswith(f"-{precision}.onnx")
    ]  # fmt: skip
    for name, said in asked:
        if f"{name}.onnx" not in bundle.files:
            continue
        what = f"{name} timed"
        try:
            then = LatencyReport.from_json(said)
            with open_bench(then.engine, threads=then.threads, receipts=None)[0] as bench:
                now = bench.latency.measure(bundle.timed(name, then), then.precision)
        except (EngineUnavailable, ValueError, KeyError, TypeError) as error:
            yield Check(what, None, f"not timed: {_line(error)}")
        except (CompileError, DeviceError) as error:
            yield Check(what, False, _line(error))
        else:
            slower = now.median_ms / then.median_ms - 1
            yield Check(what, within is None or slower <= within, _compared(then, now))


def _compared(then: LatencyReport, now: LatencyReport) -> str:
    """As `12 % slower than its receipt (10.3 ms, 9.20 ms): openvino 2026.4 -> 2026.5`."""
    change = now.median_ms / then.median_ms - 1
    apart = now.ci_low_ms > then.ci_high_ms or now.ci_high_ms < then.ci_low_ms
    side = "slower" if change > 0 else "faster"
    told = f"{abs(change):.0%} {side} than" if apart else "level with"
    told = told.replace("%", " %")
    figures = f"{milliseconds(now.median_ms)} now, {milliseconds(then.median_ms)} then"
    changes = [
        f"{before} -> {after}"
        for before, after in (
            (f"{then.engine} {then.engine_version}", now.engine_version),
            (then.device, now.device),
        )
        if not before.endswith(after)
    ]
    why = ", ".join(changes) or f"{now.engine} {now.engine_version} as then"
    busy = "" if now.verdict == "ok" else f"; {now.verdict}, so time it again"
    return f"{told} its receipt ({figures}): {why}{busy}"


def _line(error: Exception) -> str:
    found = str(error).strip() or type(error).__name__
    with suppress(IndexError):
        found = [line for line in found.splitlines() if line.strip()][-1].strip()
    return found
