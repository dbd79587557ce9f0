"""How a space draws one block: its kind, its kernel, and what that kind alone may choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search_spaces.base import BlockSpec, Chooser, Scalar

BLOCK_CHOICES: Mapping[str, Mapping[str, tuple[Scalar, ...]]] = {
    "bottleneck": {"ratio": (2, 4)},
    "dense": {"layers": (2, 3)},
    "distillation": {"steps": (2, 3)},
    "grouped": {"groups": (2, 4)},
    "inverted_residual": {"expand": (2, 3, 4, 6)},
    "large_kernel": {"kernel": (5, 7, 9), "expand": (1, 2)},
    "partial": {"ratio": (2, 4)},
    "pass_on": {"ratio": (2, 4)},
    "squeeze": {"ratio": (2, 4)},
    "wide_residual": {"expand": (2, 4)},
}
"""By block: the arguments that are asked for only when it was chosen, and their options.

A block that lists kernels of its own does not take those of the space.
"""


def choose_block(
    chooser: Chooser,
    place: str,
    *,
    ops: Sequence[str],
    kernels: Sequence[int],
    channels: int,
    repeat: int,
    activation: str,
    tags: Mapping[str, Scalar] | None = None,
) -> BlockSpec:
    """Draw a group of equal blocks; every choice is named after its place in the network.

    Args:
        place: ends the choices' names, as in `op_<place>`.
        tags: further arguments of the block, which are not choices.
    """
    op = chooser.suggest_categorical(f"op_{place}", list(ops))
    args: dict[str, Scalar] = {"activation": activation, **(tags or {})}
    own = BLOCK_CHOICES.get(op, {})
    if "kernel" not in own:
        args["kernel"] = chooser.suggest_categorical(f"kernel_{place}", list(kernels))
    for name, options in own.items():
        args[name] = chooser.suggest_categorical(f"{op}_{name}_{place}", list(options))
    return BlockSpec(op, channels, repeat, tuple(sorted(args.items())))
