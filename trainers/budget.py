"""What training one network may cost, and the recipe that spends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Optimizer = Literal["adamw", "lion", "soap"]
Schedule = Literal["cosine", "one_cycle"]
Accelerator = Literal["auto", "cpu", "gpu"]
Arithmetic = Literal["fp32", "bf16", "fp16"]
MemoryFormat = Literal["contiguous", "channels_last"]
Compiling = Literal["none", "default", "cuda_graphs"]


@dataclass(frozen=True)
class Budget:
    """What training one candidate may cost, and the recipe that spends it.

    The learning rate rises over the first `warmup_share` of the steps and falls to zero at
    `max_steps`, wherever training is interrupted in between.

    Attributes:
        max_steps: optimizer steps of the whole training.
        batch_size: crops per step.
        learning_rate: its peak. Lion wants a third to a tenth of the others'.
        optimizer: `soap`, `adamw` or `lion` (`trainers.optimizers`).
        schedule: `cosine`, a linear rise and a cosine fall; or `one_cycle`.
        beta2: the optimizer's decay of the squared gradient (SOAP, AdamW) or the momentum (Lion).
        clip_norm: largest gradient norm over all parameters.
        ema_decay: decay per step of the averaged weights, which are what is judged and kept;
            0 keeps the last weights.
        max_minutes: wall-clock limit of the whole training, over all its rungs; None for no limit.
        judge_every: steps between two looks at the metric while training; 0 for none.
        quant_steps: optimizer steps of the quantization-aware fine-tuning.
        quant_tensor_share: of these steps, in which tensors are rounded and weights are not:
            `optimizer` takes them, at half of `learning_rate`. After them weights are rounded
            for their sums. Of the rest the gradients are mostly rounding's own noise: ESPCN
            lost 0.08 dB with 1, 0.12 with 0.5 and 0.15 with 0.
        quant_optimizer: of the steps with rounded weights.
        quant_learning_rate: its peak for the weights.
        quant_scale_rate: its peak for the quantizers' scales, relative to their size.
        quant_calibration: inputs that are shown to the quantizers before fine-tuning.
        quant_max_drop: what int8 may take off the metric by calibration alone, in its unit;
            until then layers are left in float, the most sensitive first. None: all are int8.
        accelerator: where to train; `auto` is a GPU where there is one.
        precision: of the arithmetic; the weights are always kept in fp32.
        memory_format: how activations lie in memory.
        branches: what is trained beside each convolution and folded into it afterwards, for
            networks that are built for it (`search_spaces.branches.FORMS`).
        norm: `batch` to train with batch normalization, folded afterwards; or `none`.
        compile: `torch.compile` over network and loss; `cuda_graphs` replays each step as one
            launch.
    """

    max_steps: int = 1200
    batch_size: int = 8
    learning_rate: float = 6e-3
    weight_decay: float = 0.0
    beta2: float = 0.99
    warmup_share: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    max_minutes: float | None = None
    quant_steps: int = 200
    quant_tensor_share: float = 1.0
    quant_optimizer: Optimizer = "adamw"
    quant_learning_rate: float = 5e-4
    quant_scale_rate: float = 2e-3
    quant_calibration: int = 64
    quant_max_drop: float | None = None
    optimizer: Optimizer = "soap"
    schedule: Schedule = "cosine"
    judge_every: int = 0
    accelerator: Accelerator = "cpu"
    precision: Arithmetic = "fp32"
    memory_format: MemoryFormat = "contiguous"
    compile: Compiling = "none"
    branches: str = "none"
    norm: str = "none"

    def __post_init__(self) -> None:
        """Refuse a budget that cannot be spent.

        Raises:
            ValueError: a field is out of its range; the message names it.
        """
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"budget.{name} is {value}: use {least:.15g} to {most:.15g}")
        for name in ("warmup_share", "ema_decay", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"budget.{name} is {getattr(self, name)}: it must be in [0, 1)")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"budget.{name} is '{getattr(self, name)}': use {' or '.join(known)}"
                )

    def course(self) -> dict[str, Any]:
        """What decides the weights that training ends with, as plain data."""
        every = asdict(self)
        return {key: every[key] for key in every if key not in ("max_minutes", "judge_every")}


_STEPS, _TINY = 10**9, 1e-30
_RANGES: dict[str, tuple[float, float]] = {
    "max_steps": (1, _STEPS),
    "batch_size": (1, 2**16),
    "learning_rate": (_TINY, 10),
    "weight_decay": (0, 100),
    "clip_norm": (_TINY, 1e18),
    "max_minutes": (_TINY, 1e9),
    "judge_every": (0, _STEPS),
    "quant_steps": (0, _STEPS),
    "quant_tensor_share": (0, 1),
    "quant_learning_rate": (0, 10),
    "quant_scale_rate": (0, 10),
    "quant_calibration": (1, 2**16),
    "quant_max_drop": (0, 1e18),
}
"""The least and the most that each may be; far beyond what anybody needs, but no accident."""

_CHOICES = {
    "optimizer": get_args(Optimizer),
    "quant_optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "accelerator": get_args(Accelerator),
    "precision": get_args(Arithmetic),
    "memory_format": get_args(MemoryFormat),
    "compile": get_args(Compiling),
}
