"""The proof that a captured CUDA graph computes what the plain run computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from latency_models.base import DeviceError

if TYPE_CHECKING:
    import torch

_POISON = 0xA5


def check_replay(
    replay: Callable[[], None],
    outputs: Sequence[torch.Tensor],
    expected: Sequence[torch.Tensor],
    stream: torch.cuda.Stream | None,
) -> None:
    """Poison the outputs, replay, and compare with the plain run.

    Args:
        replay: launches the graph on the current stream.
        outputs: the buffers it writes; contiguous.
        expected: what a plain run had written there.
        stream: where to replay, or None on a device without streams.

    Raises:
        DeviceError: the replay leaves the poison, or computes something else.
    """
    import torch

    for output in outputs:
        _as_bytes(output).fill_(_POISON)
    poisoned = [output.clone() for output in outputs]
    if stream is not None:
        # The poison is written on the current stream, the replay runs on another.
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            replay()
        stream.synchronize()
    else:
        replay()
    for output, poison, want in zip(outputs, poisoned, expected, strict=True):
        if torch.equal(_as_bytes(output), _as_bytes(poison)):
            raise DeviceError("the captured CUDA graph is empty: replaying it computes nothing")
        if not torch.allclose(output.float(), want.float(), rtol=1e-2, atol=1e-2, equal_nan=True):
            raise DeviceError("replaying the CUDA graph gives other outputs than a plain run")


def _as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.reshape(-1).view(torch.uint8)
