"""A network as a row of named numbers, for models that predict what it will be worth.

They are counted and not timed, and none depends on how a space names its choices: networks of two
spaces can be compared, and a space of the user's needs nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log2, prod

from search_spaces import primitives
from search_spaces.graph import Graph, Shape, shapes_of
from search_spaces.primitives import (
    ACTIVATIONS,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Pool,
    Primitive,
    Resize,
    SpaceToDepth,
)
from search_spaces.work import Work, work_at

SIDE = 384
"""Height and width of the input that work is counted for, in pixels: many factors divide it."""
_KINDS: dict[str, Callable[[Conv, int], bool]] = {
    "pointwise": lambda node, channels: max(node.kernel) == 1,
    "depthwise": lambda node, channels: node.groups == channels > 1,
    "grouped": lambda node, channels: 1 < node.groups < channels,
    "one_sided": lambda node, channels: min(node.kernel) == 1 < max(node.kernel),
    "large": lambda node, channels: max(node.kernel) > 3,
}
_PRIMITIVES = tuple(
    sorted(
        name for name, kind in vars(primitives).items()
        if isinstance(kind, type) and issubclass(kind, Primitive) and kind is not Primitive
    )
)


def features(graph: Graph) -> Mapping[str, float]:
    """What is known of a network before it is built, by name; always the same names.

    Logarithms are to base 2. `depth` and `layers` count learned convolutions, along the longest
    path and in all. Shares are of the multiply-adds (`macs_...`), of the elements read and
    written (`traffic_<primitive>`) and of the elements behind each activation (`after_...`).

    Raises:
        InvalidArchitecture: the network takes no picture of SIDE x SIDE.
    """
    shapes = shapes_of(graph, SIDE, SIDE)
    work = work_at(graph, shapes)
    macs, traffic = sum(w.macs for w in work), sum(w.elements for w in work)
    layers = [i for i, node in enumerate(graph.nodes) if _is_layer(node)]
    widths = [shapes[i][0] for i in layers] or [1]
    found = {
        "log_macs": _log(macs),
        "log_params": _log(sum(w.params for w in work)),
        "log_traffic": _log(traffic),
        "log_largest": _log(max(prod(shape) for shape in shapes)),
        "log_widest": _log(max(widths)),
        "log_mean_width": sum(map(_log, widths)) / len(widths),
        "log_receptive_field": _log(receptive_field(graph)),
        "layers": float(len(layers)),
        "depth": float(depth(graph)),
    }
    return found | _shares(graph, shapes, work, macs=macs, traffic=traffic)


def depth(graph: Graph) -> int:
    """Learned convolutions along the longest path."""
    found: list[int] = []
    for node in graph.nodes:
        found.append(max((found[i] for i in node.inputs), default=0) + _is_layer(node))
    return found[graph.output]


def receptive_field(graph: Graph) -> float:
    """Side, in pixels of the input, of what one pixel of the output sees at most.

    Gates by the mean of the whole picture and resizes to another tensor's size are left out.
    """
    sides: list[float] = []
    steps: list[float] = []
    for node in graph.nodes:
        side = max((sides[i] for i in node.inputs), default=1.0)
        step = steps[node.inputs[0]] if node.inputs else 1.0
        match node:
            case Conv(kernel=kernel, dilation=dilation, stride=stride):
                side += (max(kernel) - 1) * dilation * step
                step *= stride
            case Pool(factor=factor, side=window):
                side += (window - 1) * step
                step *= factor
            case SpaceToDepth(factor=factor):
                side += (factor - 1) * step
                step *= factor
            case ConvTranspose(kernel=kernel, stride=stride):
                side += (-(-max(kernel) // stride) - 1) * step
                step /= stride
            case Resize(factor=factor, mode=mode):
                side += step * (mode == "bilinear")
                step /= factor
            case DepthToSpace(factor=factor):
                step /= factor
        sides.append(side)
        steps.append(step)
    return sides[graph.output]


def _shares(
    graph: Graph, shapes: list[Shape], work: list[Work], *, macs: int, traffic: int
) -> dict[str, float]:
    found = {f"macs_{kind}": 0.0 for kind in ("reduced", *_KINDS)}
    found |= {f"traffic_{name}": 0.0 for name in _PRIMITIVES}
    found |= {f"after_{name}": 0.0 for name in ACTIVATIONS if name != "none"}
    made = sum(prod(shape) for shape in shapes)
    for node, shape, cost in zip(graph.nodes, shapes, work, strict=True):
        found[f"traffic_{type(node).__name__}"] += cost.elements / traffic
        activation = getattr(node, "activation", "none")
        if activation != "none":
            found[f"after_{activation}"] += prod(shape) / made
        if not macs or not cost.macs:
            continue
        if shape[1] < SIDE:
            found["macs_reduced"] += cost.macs / macs
        for kind, holds in _KINDS.items():
            if isinstance(node, Conv) and holds(node, shapes[node.inputs[0]][0]):
                found[f"macs_{kind}"] += cost.macs / macs
    return found


def _is_layer(node: Primitive) -> bool:
    return isinstance(node, ConvTranspose) or (isinstance(node, Conv) and not node.fixed)


def _log(value: float) -> float:
    return log2(max(value, 1.0))
