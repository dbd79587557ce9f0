"""A bundle's `README.md`: what it is, for whoever is given it alone.

Markdown with the front matter that Hugging Face reads (huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from latency_models.base import LatencyReport, Precision
from nas.candidate import Candidate
from nas.confidence import gain_over
from nas.evidence import QUANTIZED, TRAINED, ExportReport
from nas.experiment import Experiment
from nas.gates import BOUNDS, Held
from nas.inputs import remembered_pictures
from nas.report.describe import compared, describe, figure, milliseconds, pictures
from runtime.pictures import IO
from runtime.signature import Port, Signature
from search_spaces.skeletons import lower
from search_spaces.work import gmacs, params_of

CARD = "README.md"
_NAMED = 20
_PACKAGES = ("freeway-nas", "torch", "onnx", "numpy")
_RANGES = {"image": "[0, 1]", "map": "any", "state": "hidden, zeros at first"}


@dataclass(frozen=True)
class Shown:
    """What a card tells of one target.

    Attributes:
        name: of the target.
        files: the precision of each file.
        left_out: why a file does not ship, by its name.
        runs: the precision of the fastest file.
        why: it is another one than was asked for; empty where it is not.
    """

    name: str
    files: Mapping[str, Precision]
    report: ExportReport
    held: Mapping[Precision, Held]
    left_out: Mapping[str, str]
    runs: Precision
    why: str


def card(candidate: Candidate, experiment: Experiment, targets: Sequence[Shown]) -> str:
    """The page; it names no place on this machine."""
    parts = (
        _front_matter(candidate.architecture.signature, experiment, targets[0]),
        _what(candidate, experiment),
        _signature(candidate.architecture.signature, experiment),
        _run(candidate.architecture.signature),
        _receipts(targets),
        _quality(candidate, experiment),
        _gates(targets),
        _data(experiment),
        _limits(candidate, experiment, targets[0]),
        _origin(candidate, experiment, targets[0].report.shipped),
    )
    return "\n\n".join(parts) + "\n"


def _front_matter(signature: Signature, experiment: Experiment, main: Shown) -> str:
    tags = [_task(experiment).replace(" ", "-"), "onnx", main.report.shipped.engine.split(":")[-1]]
    tags += [*main.files.values(), "real-time", "neural-architecture-search"]
    made, kinds = signature.outputs[0], {port.kind for port in signature.given}
    if made.kind == "image" and "image" in kinds:
        pipeline = "pipeline_tag: image-to-image\n"
    elif made.scale is None and kinds == {"image"}:
        pipeline = "pipeline_tag: image-classification\n"
    else:
        pipeline = ""
    listed = "\n".join(f"- {tag}" for tag in dict.fromkeys(tags))
    return (
        "---\nlicense: unknown  # yours to choose: the network is yours, Freeway's licence is its "
        f"own\nlibrary_name: freeway-nas\n{pipeline}tags:\n{listed}\n---"
    )


def _task(experiment: Experiment) -> str:
    name = type(experiment.task).__name__
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return " ".join(words.replace("_", " ").split())


def _what(candidate: Candidate, experiment: Experiment) -> str:
    architecture, target = candidate.architecture, experiment.target
    graph = lower(architecture)
    work = gmacs(graph, target.height, target.width)
    name = architecture.id if candidate.is_proposal else _plain(candidate.name)
    does = f"Trained for {_task(experiment)}"
    if architecture.scale > 1:
        does += f": enlarges pictures {architecture.scale} times"
    return (
        f"# {name}\n\n{does}. Found, timed and checked by Freeway for {target.engine} "
        f"{target.precision} at {target.width}x{target.height}, {_limit(target.max_latency_ms)}."
        f"\n\n**Architecture:** {describe(architecture)} (`architecture.json`). "
        f"{params_of(graph):,} parameters, {work:.3g} G multiply-adds at this size."
    )


def _limit(limit_ms: float) -> str:
    return "without a limit" if limit_ms == float("inf") else f"at most {milliseconds(limit_ms)}"


def _signature(signature: Signature, experiment: Experiment) -> str:
    target, io = experiment.target, experiment.main.rules.io
    rows = [
        (way, f"`{port.name}`", *_port(port, io, (target.height, target.width)))
        for way, ports in (("in", signature.inputs), ("out", signature.outputs))
        for port in ports
    ]
    carried = "".join(
        f"\n\n`{made}` is given as `{taken}` with the next frame."
        for made, taken in signature.carried.items()
    )
    table = _table(("", "name", "shape", "type", "range", "layout"), rows)
    return f"## What goes in and comes out\n{table}{carried}"


def _port(port: Port, io: IO, size: tuple[int, int]) -> tuple[str, str, str, str]:
    shape = port.shape(*size)
    if port.kind != "image" or port.scale is None or io == "float_nchw":
        layout = "NC" if port.scale is None else "NCHW"
        return _sides(1, *shape), "float32", _RANGES[port.kind], layout
    if io == "uint8_nchw":
        return _sides(1, *shape), "uint8", "0 to 255", "NCHW"
    return _sides(1, *shape[1:], shape[0]), "uint8", "0 to 255", "NHWC"


def _sides(*sides: int) -> str:
    return " x ".join(map(str, sides))


def _run(signature: Signature) -> str:
    given, made = signature.given, signature.outputs
    if [port.kind for port in (*given, *made)] == ["image", "image"]:
        use = (
            'picture = np.asarray(Image.open("photo.png").convert("RGB"))\n'
            'Image.fromarray(network(picture)).save("made.png")      # of any size'
        )
        return (
            "## Running it\n```python\nimport numpy as np\nfrom PIL import Image\nfrom runtime "
            f'import load\nnetwork = load(".")      # this folder; checked\n{use}\n```\n'
            "`runtime` is a package of freeway-nas that needs numpy and one engine. `nas run` "
            "does the same for folders and videos, `nas verify` checks this folder anywhere; "
            "`nas export . --format mpv` (or vsmlrt, ncnn) writes it for players."
        )
    names = ", ".join(f'"{port.name}": {port.name}' for port in given)
    return (
        "## Running it\n```python\nfrom runtime import load\n"
        'network = load(".")      # this folder; checked\n'
        "for made in network.over(frames):      # frames: each a mapping of arrays, "
        f"{{{names}}}\n    use(made[\"{made[0].name}\"])\n```\n"
        "`runtime` is a package of freeway-nas that needs numpy and one engine. `nas verify` "
        "checks this folder anywhere."
    )


def _receipts(targets: Sequence[Shown]) -> str:
    lines = []
    for one in targets:
        where = f" on {one.name}" if len(targets) > 1 else ""
        rows = []
        for receipt in {r.precision: r for r in (one.report.shipped, one.report.fp32)}.values():
            sure = f"{milliseconds(receipt.ci_low_ms)} to {milliseconds(receipt.ci_high_ms)}"
            rows.append((
                receipt.precision, milliseconds(receipt.median_ms), sure,
                milliseconds(receipt.p95_ms), receipt.verdict,
                f"{receipt.engine} {receipt.engine_version}", receipt.device,
                str(receipt.threads), _sides(*receipt.input_shape),
            ))  # fmt: skip
        lines.append(_table(
            (f"file{where}", "median", "95 % interval", "p95", "verdict", "engine", "device",
             "threads", "input"), rows,
        ))  # fmt: skip
        lines.append(f"`{one.runs}` is the one to run" + (f": {one.why}." if one.why else "."))
        lines += [f"`{name}` is left out: {why}." for name, why in one.left_out.items()]
    told = "\n\n".join(lines)
    return f"## Latency\n{told}\n\n`latency.json` has the receipts in full."


def _quality(candidate: Candidate, experiment: Experiment) -> str:
    metric = experiment.task.metric
    trained, quantized = candidate.get(TRAINED), candidate.get(QUANTIZED)
    rows = []
    if trained is not None:
        rows.append(("fp32", figure(metric, trained.metric), ""))
    if trained is not None and quantized is not None and quantized.precision != "fp32":
        beside = compared(metric, gain_over(metric, quantized, trained), other="fp32")
        rows.append((quantized.precision, figure(metric, quantized.metric), beside))
    baseline = figure(metric, experiment.task.baseline())
    rows.append((f"{experiment.task.baseline_name}, no network", baseline, ""))
    judged = candidate.judged
    for other in experiment.ledger.all():
        theirs = other.get(QUANTIZED)
        if other.origin.kind != "published" or theirs is None or judged is None:
            continue
        if other.name == candidate.name:
            continue
        gain = compared(metric, gain_over(metric, judged, theirs))
        told = f"{milliseconds(other.latency_ms)}; this network is {gain}"
        trained_alike = f"{_plain(other.name)}, trained with the same budget"
        rows.append((trained_alike, figure(metric, theirs.metric), told))
    on = pictures([candidate.pictures])
    heading = f"{metric.name}{f' on {on}' if on else ''}"
    table = _table(("", heading, "compared (95 % interval over pictures)"), rows)
    return f"## Quality\n{table}"


def _gates(targets: Sequence[Shown]) -> str:
    rows = []
    for one in targets:
        for precision, held in one.held.items():
            bound = BOUNDS[precision]
            name = precision if len(targets) == 1 else f"{one.name} {precision}"
            for kind, apart in held.apart.items():
                beside = held.beside_fp32.get(kind)
                rows.append((
                    name, kind, f"{apart.largest:.2g} of {bound.largest:g}",
                    f"{apart.mean:.2g} of {bound.mean:g}",
                    "" if beside is None else f"{beside.mean:.2g}",
                    "does not ship" if held.missed else "passed",
                ))  # fmt: skip
    table = _table(
        ("file", "on", "largest error, of what is allowed", "mean error", "from fp32, mean", ""),
        rows,
    )
    return (
        "## Gates\nEach file on its engine against the network in PyTorch, values in [0, 1]; "
        "extremes are black, white, full colours, noise and lines of one pixel.\n\n"
        f"{table}\n\nThe largest value inside is {targets[0].held['fp32'].inside:.3g} (fp16 holds "
        "65504). `golden.npz` has what each file made of one input."
    )


def _data(experiment: Experiment) -> str:
    trained, judged = remembered_pictures(experiment.folder)
    return (
        f"## Data\nTrained on {_listed(trained)}.\n\nJudged by {_listed(judged)}."
    )


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "pictures whose names were not kept"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{pictures([len(names)])}: {', '.join(map(_plain, names[:_NAMED]))}{more}"


def _limits(candidate: Candidate, experiment: Experiment, main: Shown) -> str:
    receipt, target = main.report.shipped, experiment.target
    lines = [
        f"Latency is known for {target.width}x{target.height}, {receipt.device} and "
        f"{receipt.engine} {receipt.engine_version} alone; elsewhere time it: "
        "`nas verify . --time`.",
        "Quality is known for the pictures named above, under the degradation that it was "
        "trained for; other cameras, codecs and noise were not looked at.",
    ]
    if receipt.verdict != "ok":
        lines.append(f"The receipt is {receipt.verdict}: the machine was not quiet.")
    steps = candidate[TRAINED].steps if candidate.has(TRAINED) else 0
    if steps:
        lines.append(f"It was trained for {steps:,} steps; a longer training gives more.")
    if candidate.has(QUANTIZED) and (left := candidate[QUANTIZED].float_layers):
        lines.append(f"{left} of its layers stayed in float, where int8 hurt too much.")
    return "## Limits\n" + "\n".join(f"- {line}" for line in lines)


def _origin(candidate: Candidate, experiment: Experiment, receipt: LatencyReport) -> str:
    versions = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    versions.append(f"{receipt.engine} {receipt.engine_version}")
    return (
        f"## Where it comes from\nStudy `{experiment.plan.name}`, candidate "
        f"`{_plain(candidate.name)}`, seed {experiment.plan.seed}. Made with "
        f"{', '.join(versions)}, Python {platform.python_version()}. `case.json` has everything "
        "that is known of it, `manifest.json` the hash of each file."
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(text: str) -> str:
    """One line that no table breaks at."""
    return " ".join(text.split()).replace("|", "/")
