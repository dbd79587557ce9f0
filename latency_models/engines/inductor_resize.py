"""ONNX Resize as gathers with constant weights, for whole factors on the last two axes.

Written out instead of calling `interpolate`, because ONNX allows the cubic coefficients -0.5 and
-0.75 and four coordinate modes, of which PyTorch has some. Formulas: the Resize operator page of
ONNX; the cubic kernel is that of Keys, "Cubic convolution interpolation for digital image
processing" (1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latency_models.engines.inductor_ops import Call

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


def sampling_buffers(call: Call, in_shape: Sequence[int]) -> list[Array | NDArray[np.int64]]:
    """Taps and weights for height, then for width: computed once, before anything is compiled.

    Raises:
        CompileError: sizes are not constant, other axes change, or the mode is not covered.
    """
    scales, sizes = call.constants.get(2), call.constants.get(3)
    if scales is not None and scales.size:
        factors = [float(value) for value in scales]
        sizes = [int(np.floor(n * s)) for n, s in zip(in_shape, factors, strict=True)]
    elif sizes is not None:
        sizes = [int(value) for value in sizes]
        factors = [out / n for out, n in zip(sizes, in_shape, strict=True)]
    else:
        raise call.refuse("resizes to a size that is not constant")
    if "axes" in call.attributes or call.attributes.get("antialias", 0):
        raise call.refuse("resizes with axes or antialias")
    if list(sizes[:-2]) != list(in_shape[:-2]):
        raise call.refuse("resizes other axes than height and width")
    buffers: list[Array | NDArray[np.int64]] = []
    for axis in (-2, -1):
        buffers += sampling(call, in_shape[axis], sizes[axis], factors[axis])
    return buffers


def resize(call: Call) -> Tensor:
    """Resize height and width with the buffers of `sampling_buffers` as inputs 1 to 4."""
    x = call.tensor(0)
    for axis, start in ((-2, 1), (-1, 3)):
        x = _sampled(x, axis, call.tensor(start), call.tensor(start + 1))
    return x


def sampling(
    call: Call, size: int, out_size: int, factor: float
) -> tuple[NDArray[np.int64], Array]:
    """Which input positions each output position reads, and with what weights: (out, taps)."""
    mode = call.attributes.get("mode", "nearest")
    where = _coordinates(call, size, out_size, factor)
    if mode == "nearest":
        return _clamped(_nearest(call, where)[:, None], size), np.ones((out_size, 1))
    if mode == "linear":
        first = np.floor(where)
        far = where - first
        taps = np.stack([first, first + 1], axis=1)
        return _clamped(taps, size), np.stack([1 - far, far], axis=1)
    if mode != "cubic" or call.attributes.get("exclude_outside", 0):
        raise call.refuse(f"resizes in mode {mode} or with exclude_outside")
    first = np.floor(where)
    offsets = np.arange(-1, 3)
    distance = np.abs((where - first)[:, None] - offsets[None, :])
    a = float(call.attributes.get("cubic_coeff_a", -0.75))
    return _clamped(first[:, None] + offsets[None, :], size), _cubic(distance, a)


def _coordinates(call: Call, size: int, out_size: int, factor: float) -> Array:
    kind = call.attributes.get("coordinate_transformation_mode", "half_pixel")
    out = np.arange(out_size, dtype=np.float64)
    if kind == "asymmetric":
        return out / factor
    if kind == "align_corners":
        return out * ((size - 1) / (out_size - 1)) if out_size > 1 else out * 0
    if kind == "half_pixel" or (kind == "pytorch_half_pixel" and out_size > 1):
        return (out + 0.5) / factor - 0.5
    if kind == "pytorch_half_pixel":
        return out * 0
    raise call.refuse(f"resizes with coordinate mode {kind}")


def _nearest(call: Call, where: Array) -> Array:
    kind = call.attributes.get("nearest_mode", "round_prefer_floor")
    rounded: dict[str, Array] = {
        "floor": np.floor(where),
        "ceil": np.ceil(where),
        "round_prefer_floor": np.ceil(where - 0.5),
        "round_prefer_ceil": np.floor(where + 0.5),
    }
    if kind not in rounded:
        raise call.refuse(f"resizes with nearest mode {kind}")
    return rounded[kind]


def _cubic(distance: Array, a: float) -> Array:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    result: Array = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return result


def _clamped(taps: Array, size: int) -> NDArray[np.int64]:
    return np.clip(taps, 0, size - 1).astype(np.int64)


def _sampled(x: Tensor, axis: int, taps: Tensor, weights: Tensor) -> Tensor:
    if taps.shape[1] == 1:  # nearest: one tap of weight 1
        return x.index_select(axis, taps[:, 0])
    shape = [1, 1, 1, 1]
    shape[axis] = taps.shape[0]
    total = x.index_select(axis, taps[:, 0]) * weights[:, 0].reshape(shape)
    for tap in range(1, taps.shape[1]):
        total = total + x.index_select(axis, taps[:, tap]) * weights[:, tap].reshape(shape)
    return total
