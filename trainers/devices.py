"""What this machine can train on, and in which arithmetic; what it cannot is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from trainers.budget import Budget

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Settled:
    """A budget's device and arithmetic as they will be used here.

    Attributes:
        precision: as Lightning names it.
        name: for reports, as `cpu fp32`.
    """

    accelerator: Literal["cpu", "gpu"]
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    name: str


def settle(budget: Budget) -> Settled:
    """Decide where to train.

    Raises:
        ValueError: this machine cannot train as the budget asks; the message says what it can.
    """
    gpu = torch.cuda.is_available()
    if budget.accelerator == "gpu" and not gpu:
        raise ValueError(
            "budget.accelerator is 'gpu' but torch finds none: install a torch with CUDA, or "
            "give budget.accelerator=cpu"
        )
    accelerator: Literal["cpu", "gpu"] = "gpu" if gpu and budget.accelerator != "cpu" else "cpu"
    if accelerator == "cpu":
        _check_cpu(budget)
    name = torch.cuda.get_device_name() if accelerator == "gpu" else "cpu"
    return Settled(accelerator, PRECISIONS[budget.precision], f"{name} {budget.precision}")


def _check_cpu(budget: Budget) -> None:
    if budget.precision == "fp16":
        raise ValueError("budget.precision is 'fp16', which needs a GPU: use fp32 on a processor")
    if budget.precision == "bf16" and not _BF16_FLAGS & processor_flags():
        raise ValueError(
            "budget.precision is 'bf16' but this processor has no bf16 arithmetic "
            f"({' or '.join(sorted(_BF16_FLAGS))}), which would only be slower: use fp32"
        )
    if budget.compile == "cuda_graphs":
        raise ValueError("budget.compile is 'cuda_graphs', which needs a GPU: use none or default")


def processor_flags() -> set[str]:
    """Features of this processor as Linux names them; empty where that is not told."""
    if not _CPU_FACTS.is_file():
        return set()
    for line in _CPU_FACTS.read_text().splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()
