"""What each ingredient of a training is worth: one network, one budget, one table.

    python benchmarks/training_ingredients.py --train <folder> --set5 <folder>
        [--network ecbsr_m4c16] [--steps 6000] [--quant-steps 1000] [--seeds 0 1] [--only ...]

Every row changes one thing of the plain recipe. Figures are PSNR of the luma on the test pictures,
by the papers' protocol. `int8` rows are the output of the engine itself, on files with learned or
calibrated scales. Rows are appended to --out as they are finished; the same command carries on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latency_models.engines.ov import OpenVINOEngine
from latency_models.measured import MeasuredLatency
from nas.networks import rules_for
from runtime.signature import INPUT, OUTPUT
from search_spaces.base import Architecture
from search_spaces.fake_quantize import QuantizedNetwork, convert, prepare
from search_spaces.modules import Network, build, fold, load_weights, weights_of
from search_spaces.onnx_writer import write
from search_spaces.references import reference
from search_spaces.shrink import weights_in
from search_spaces.skeletons import lower
from trainers.base import Task
from trainers.budget import Budget
from trainers.calls import all_inputs, still
from trainers.data.sources import Sources
from trainers.distill import Distillation
from trainers.fit import fit
from trainers.losses.base import Term
from trainers.losses.luma import Luma
from trainers.losses.pixel import L1, SquaredError
from trainers.losses.terms import Terms
from trainers.prune import channel_scores
from trainers.qat import fine_tune
from trainers.tasks.super_resolution import SuperResolution

Images = NDArray[np.float32]
_WIDER = 2
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "without averaged weights": {"ema_decay": 0.0},
    "one cycle": {"schedule": "one_cycle", "warmup_share": 0.3},
    "AdamW": {"optimizer": "adamw", "learning_rate": 0.5},
    "AdamW, branches: edge (ECBSR)": {
        "optimizer": "adamw", "learning_rate": 0.5, "branches": "edge",
    },
    "Lion": {"optimizer": "lion", "learning_rate": 0.1},
    "batch normalization, folded": {"norm": "batch"},
    "branches: parallel": {"branches": "parallel"},
    "branches: edge (ECBSR)": {"branches": "edge"},
    "branches: expand (SESR)": {"branches": "expand"},
    "loss: squared error": {"loss": SquaredError()},
    "loss: L1 of the luma, a tenth of that of RGB": {
        "loss": Terms({"rgb": L1(weight=0.1), "luma": Luma(of=L1())}),
    },
}
"""The loss, and changes of the budget; a learning rate is relative to the plain one."""
OTHERS = ("distilled from a wider network", "pruned from a wider network", "int8, calibrated only",
          "int8, fine-tuned", "int8, fine-tuned with rounded weights")  # fmt: skip


class Bench:
    """Trains the rows and keeps what several of them need."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        """Prepare one seed."""
        self.seed, self.home = seed, arguments.runs / f"seed{seed}"
        self.home.mkdir(parents=True, exist_ok=True)
        self.architecture = reference(arguments.network, 2)
        self.sources = Sources(str(arguments.train), str(arguments.set5))
        self.task = self._task(L1())
        self.budget = Budget(
            max_steps=arguments.steps, batch_size=16, learning_rate=6e-3, ema_decay=0.999,
            quant_steps=arguments.quant_steps, accelerator="auto",
        )  # fmt: skip

    def _task(self, loss: Term | Terms) -> SuperResolution:
        return SuperResolution(data=self.sources, crop=32, multiple=1, loss=loss)

    def row(self, name: str) -> float:
        """PSNR of one row, dB."""
        if name in RECIPES:
            return self._trained(name, RECIPES[name])[1]
        if name.startswith("distilled"):
            return self._distilled()
        if name.startswith("pruned"):
            return self._pruned()
        steps = 0 if "calibrated" in name else self.budget.quant_steps
        return self._quantized(steps, share=0.0 if "rounded weights" in name else 1.0)

    def _trained(
        self, name: str, changes: dict[str, Any], architecture: Architecture | None = None
    ) -> tuple[Network, float]:
        """The folded network of a recipe; one that was trained before is read back."""
        graph = lower(architecture or self.architecture)
        rate = changes.get("learning_rate", 1.0) * self.budget.learning_rate
        others = {field: value for field, value in changes.items() if field != "loss"}
        budget = replace(self.budget, **{**others, "learning_rate": rate})
        task = self._task(changes["loss"]) if "loss" in changes else self.task
        network = build(graph, seed=self.seed, branches=budget.branches, norm=budget.norm)
        report = fit(network, task, budget, seed=self.seed, checkpoint=self._file(name))
        return fold(network), report.metric

    def _file(self, name: str) -> Path:
        plain = "".join(c if c.isalnum() else "-" for c in name)
        return self.home / f"{plain}.ckpt"

    def _wider_blocks(self) -> Architecture:
        blocks = [replace(b, channels=b.channels * _WIDER) for b in self.architecture.blocks]
        return replace(self.architecture, blocks=tuple(blocks))

    def _wider(self) -> Network:
        return self._trained("wider", {}, self._wider_blocks())[0]

    def _distilled(self) -> float:
        network = build(lower(self.architecture), seed=self.seed)
        teacher = Distillation(self._wider())
        return fit(
            network, self.task, self.budget, seed=self.seed, teacher=teacher,
            checkpoint=self._file("distilled"),
        ).metric  # fmt: skip

    def _pruned(self) -> float:
        """Halve the wider network's channels, then train with half of the steps again."""
        wider = self._wider()
        names = [name for name in wider.layers if name + ".weight" in weights_of(wider)]
        scores = channel_scores(wider, [f"layers.{n}" for n in names], self.task)
        by_node = {int(name.removeprefix("layers.n")): score for name, score in scores.items()}
        kept = weights_in(self.architecture, self._wider_blocks(), weights_of(wider), by_node)
        network = build(lower(self.architecture), seed=self.seed)
        load_weights(network, kept)
        shorter = replace(
            self.budget,
            max_steps=max(1, self.budget.max_steps // 2),
            learning_rate=self.budget.learning_rate / 3,
        )
        return fit(
            network, self.task, shorter, seed=self.seed, checkpoint=self._file("pruned")
        ).metric

    def _quantized(self, steps: int, share: float) -> float:
        network, _ = self._trained("plain", {})
        inputs = all_inputs(network, self.task.signature, self.task.calibration(64))
        prepared = prepare(network, rules_for("openvino"), inputs=inputs, tensors_first=True)
        course = replace(self.budget, quant_steps=steps, quant_tensor_share=share)
        fine_tune(
            prepared, self.task, course, seed=self.seed,
            checkpoint=self._file(f"int8-{steps}-{share}"),
        )  # fmt: skip
        return engine_metric(prepared, self.task)


def engine_metric(prepared: QuantizedNetwork, task: Task) -> float:
    """The metric of the int8 file as OpenVINO computes it, a file for each picture size."""
    weights, placement, scales = convert(prepared)
    engine = MeasuredLatency(OpenVINOEngine())

    def run(image: Images) -> Images:
        height, width = image.shape[2:]
        onnx = write(
            prepared.graph, weights, height=height, width=width, quantized=(placement, scales)
        )
        return engine.run(onnx, "int8", [{INPUT: image}], {})[0][OUTPUT]

    return float(np.mean(task.scores(still(run))))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Means over the seeds as Markdown, beside the plain recipe of the same seeds."""
    lines = ["| ingredient | PSNR, dB | difference to plain | seeds |", "|---|---|---|---|"]
    plain = {r["seed"]: r["psnr_db"] for r in rows if r["name"] == "plain"}
    for name in dict.fromkeys(r["name"] for r in rows):
        found = {r["seed"]: r["psnr_db"] for r in rows if r["name"] == name}
        differences = [value - plain[seed] for seed, value in found.items() if seed in plain]
        beside = f"{np.mean(differences):+.2f}" if differences else ""
        lines.append(
            f"| {name} | {np.mean(list(found.values())):.2f} | {beside} | {len(found)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the arguments, train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--set5", type=Path, required=True)
    parser.add_argument("--network", default="ecbsr_m4c16")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--quant-steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[], help="rows whose names contain a word")
    parser.add_argument("--runs", type=Path, default=Path("runs/ingredients"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    out = arguments.runs / "rows.jsonl"
    wanted = [n for n in (*RECIPES, *OTHERS) if not arguments.only or _named(n, arguments.only)]
    for seed in arguments.seeds:
        bench = Bench(arguments, seed)
        for name in wanted:
            key = {"network": arguments.network, "steps": arguments.steps, "seed": seed,
                   "quant_steps": arguments.quant_steps, "name": name}  # fmt: skip
            if any(all(r[k] == v for k, v in key.items()) for r in read(out)):
                continue
            began = time.monotonic()
            made = key | {"psnr_db": bench.row(name), "minutes": (time.monotonic() - began) / 60}
            with out.open("a") as file:
                file.write(json.dumps(made) + "\n")
            print(f"{name}: {made['psnr_db']:.2f} dB, {made['minutes']:.1f} min", flush=True)
    print(table([r for r in read(out) if r["steps"] == arguments.steps]))


def _named(name: str, words: Sequence[str]) -> bool:
    return any(word in name for word in words)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows that were written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


if __name__ == "__main__":
    main()
