"""Published networks, trained by this project: do they reach their papers' figures?

    python benchmarks/published_training.py --train <folder> --set5 <folder>
        [--networks fsrcnn_y espcn_y ecbsr_m4c16] [--scales 2 3] [--seed 0] [--loss l1]
        [settings of nas train ...]

Each network goes through `nas train` (timed, trained, fine-tuned for int8, exported), judged on
Set5 by the papers' protocol: whole pictures, luma, `scale` pixels left out at the border. A row of
JSON is appended for each network that is through; the same command again carries on where it
stopped and repeats nothing. Further arguments are settings of `nas train`, such as
`budget.max_steps=20000`.

The published figures are those of the papers or, for the colour variants, of published weights;
most were trained on more or other pictures than T91 and BSDS.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from rich.console import Console

from nas.assemble import assemble
from nas.candidate import Candidate
from nas.evidence import EXPORTED, QUANTIZED, TRAINED
from nas.live.training import training_view
from nas.one_network import prepared, train_one
from search_spaces.references import reference

PUBLISHED_DB = {
    ("fsrcnn_y", 2): 37.00,
    ("fsrcnn_y", 3): 33.16,
    ("fsrcnn_y", 4): 30.71,
    ("espcn_y", 2): 36.83,
    ("ecbsr_m4c16", 2): 37.18,
}
"""PSNR of the luma on Set5."""


def train(network: str, scale: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one network, or carry on; returns its row."""
    overrides = [
        f"network={network}", f"label={network}", f"task.scale={scale}", "task.multiple=1",
        f"task.data.train={arguments.train}", f"task.data.val={arguments.set5}",
        f"task.planes={'luma' if reference(network, scale).in_channels == 1 else 'rgb'}",
        f"task/loss={arguments.loss}", f"study.seed={arguments.seed}",
        f"study.name={network}-x{scale}-seed{arguments.seed}", f"runs_dir={arguments.runs}",
        *arguments.overrides,
    ]  # fmt: skip
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("train", overrides=overrides)
    console = Console()
    with assemble(
        config,
        watcher=lambda plan, target, task, budget: training_view(
            console, target, task.metric, task.baseline()
        ),
    ) as experiment:
        candidate = train_one(prepared(experiment, config), network)
        baseline_db = experiment.task.baseline()
    return row(candidate, network, scale, baseline_db) | {
        "seed": arguments.seed,
        "loss": arguments.loss,
        "settings": arguments.overrides,
        "budget": {k: v for k, v in dict(config.budget).items() if k != "_target_"},
    }


def row(candidate: Candidate, network: str, scale: int, baseline_db: float) -> dict[str, Any]:
    """What came of one network, as plain data.

    Raises:
        SystemExit: the training broke down.
    """
    if candidate.rejected is not None:
        raise SystemExit(f"{candidate.name}: {candidate.rejected.reason}")
    trained, quantized, exported = candidate[TRAINED], candidate[QUANTIZED], candidate[EXPORTED]
    return {
        "network": network,
        "scale": scale,
        "published_db": PUBLISHED_DB.get((network, scale)),
        "bicubic_db": baseline_db,
        "fp32_db": trained.metric,
        "quantized_db": quantized.metric,
        "quantized": quantized.precision,
        "steps": trained.steps,
        "train_min": trained.train_s / 60,
        "trained_on": trained.device,
        "latency_ms": exported.shipped.median_ms,
        "engine": f"{exported.shipped.engine} {exported.shipped.engine_version}",
        "date": date.today().isoformat(),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| network | scale | seed | steps | trained on | minutes | published | fp32 | difference "
        "| int8, engine's output | loss by int8 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        published = r["published_db"]
        beside = "" if published is None else f"{published:.2f}"
        difference = "" if published is None else f"{r['fp32_db'] - published:+.2f}"
        lines.append(
            f"| {r['network']} | x{r['scale']} | {r['seed']} | {r['steps']} | {r['trained_on']} "
            f"| {r['train_min']:.0f} | {beside} | {r['fp32_db']:.2f} | {difference} "
            f"| {r['quantized_db']:.2f} | {r['fp32_db'] - r['quantized_db']:.2f} |"
        )
    return "\n".join(lines)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows that were written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def main() -> None:
    """Read the arguments, train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="training pictures")
    parser.add_argument("--set5", type=Path, required=True, help="the five test pictures")
    parser.add_argument("--networks", nargs="+", default=["ecbsr_m4c16", "fsrcnn_y", "espcn_y"])
    parser.add_argument("--scales", nargs="+", default=["2"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loss", default="l1", help="a file of conf/task/loss")
    parser.add_argument("--runs", type=Path, default=Path("runs/published"))
    parser.add_argument("--out", type=Path, default=Path("runs/published/rows.jsonl"))
    parser.add_argument("overrides", nargs="*", help="settings of nas train")
    arguments = parser.parse_intermixed_args()
    # Settings that stand right behind the networks or the scales are taken for one of these.
    behind = [*arguments.networks, *arguments.scales]
    arguments.overrides += [setting for setting in behind if "=" in setting]
    for network in (name for name in arguments.networks if "=" not in name):
        for scale in (int(name) for name in arguments.scales if "=" not in name):
            made = train(network, scale, arguments)
            same = ("network", "scale", "seed", "loss", "budget", "settings")
            if not any(all(r.get(k) == made[k] for k in same) for r in read(arguments.out)):
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                with arguments.out.open("a") as file:
                    file.write(json.dumps(made) + "\n")
    print(table(read(arguments.out)))


if __name__ == "__main__":
    main()
