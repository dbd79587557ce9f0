"""What a transposed convolution computes, and the form in which it is fast.

An output pixel reads only the taps of its own phase, so a transposed convolution is an ordinary
one that gives all stride^2 phases as channels, and a pixel shuffle (Shi et al., "Is the
deconvolution layer the same as a convolutional layer?", 2016). Where it has fewer outputs than a
vector register has lanes, that is how it is trained and shipped: the head of FSRCNN (56 to 1, 9x9)
so takes 0.29 of its time in fp32 and 0.16 in int8 (OpenVINO 2026.4, AVX2, one thread;
`benchmarks/transposed_heads.py`), and engines without an int8 kernel for transposed convolutions
have one for this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search_spaces.primitives import ConvTranspose

_LANES = 8
"""Of a 256-bit register in fp32. From as many outputs on the zero taps cost more than is won."""


def transposed_padding(node: ConvTranspose) -> dict[str, list[int]]:
    """Padding by which a transposed convolution gives exactly stride times its input's size."""
    begin = [max(0, (k - node.stride + 1) // 2) for k in node.kernel]
    if node.margin is not None:
        begin = [node.margin] * len(node.kernel)
    extra = [node.stride + 2 * b - k for b, k in zip(begin, node.kernel, strict=True)]
    return {"pads": begin * 2, "output_padding": extra}


def runs_as_convolution(node: ConvTranspose) -> bool:
    """Whether both readings replace it by a convolution and a pixel shuffle."""
    return node.out_channels < _LANES


def taps(node: ConvTranspose, in_channels: int) -> NDArray[np.int64]:
    """Where the weights of the equal convolution stand in those of the transposed one.

    Returns:
        Places in the flattened weight (C_in, C_out, kh, kw), of shape
        (C_out * stride^2, C_in, kh', kw') with kh' and kw' odd; -1 where the weight is zero.
        Channels are in the order of DepthToSpace in CRD mode.
    """
    stride, out = node.stride, node.out_channels
    begins = transposed_padding(node)["pads"][:2]
    rows, columns = (
        _taps_along(kernel, begin, stride)
        for kernel, begin in zip(node.kernel, begins, strict=True)
    )
    y, x = rows[:, None, :, None], columns[None, :, None, :]
    inside = np.where((y >= 0) & (x >= 0), y * node.kernel[1] + x, -1)
    filters = np.arange(in_channels)[None, :] * out + np.arange(out)[:, None]
    area = node.kernel[0] * node.kernel[1]
    places = filters[:, None, None, :, None, None] * area + inside[None, :, :, None]
    places = np.where(inside[None, :, :, None] >= 0, places, -1)
    return places.reshape(out * stride**2, in_channels, rows.shape[1], columns.shape[1])


def _taps_along(kernel: int, begin: int, stride: int) -> NDArray[np.int64]:
    """Tap of a phase that meets an input at a distance, (stride, 2 * reach + 1); -1 for none."""
    meets = [
        (phase, (phase + begin - tap) // stride, tap)
        for phase in range(stride)
        for tap in range(kernel)
        if (phase + begin - tap) % stride == 0
    ]
    reach = max(abs(distance) for _, distance, _ in meets)
    found = np.full((stride, 2 * reach + 1), -1, np.int64)
    for phase, distance, tap in meets:
        found[phase, reach + distance] = tap
    return found
