"""What each layer of a network asks of a device, and what the device could do at best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from latency_models.file_work import FileWork, work_of_nodes
from latency_models.roofline import Peaks, Roof, roof
from nas.report.describe import milliseconds
from nas.report.folding import fold, representatives
from nas.report.layers import LayerLine, layer_lines
from search_spaces.graph import Graph

_GAP = 3
_LEFT_OUT_FIRST = ("MACs/byte", "params", "moved", "bound by")
_WORDS = ("layer", "what", "bound by")
BOUND_BY = {"compute": "arithmetic", "memory": "memory"}


@dataclass(frozen=True)
class LayerCost:
    """One layer, or several equal ones together.

    Attributes:
        times: how many equal ones; the figures are those of all of them.
        bytes_moved: read and written if every layer moves its tensors once.
        roof: none where the device's peaks are not asked for.
    """

    line: LayerLine
    times: int
    params: int
    macs: int
    bytes_moved: int
    roof: Roof | None = None

    @property
    def macs_per_byte(self) -> float:
        """The arithmetic intensity."""
        return self.macs / max(1, self.bytes_moved)


def layer_costs(
    graph: Graph, onnx: bytes, *, height: int, width: int, peaks: Peaks | None
) -> list[LayerCost]:
    """Every layer with its work, counted on the file that an engine would compile.

    Args:
        onnx: the network as `onnx_writer` writes it, at this size.
        peaks: of the device, for the roofline.

    Raises:
        InvalidArchitecture: the size does not fit the network.
        CompileError: the file cannot be read.
    """
    moved = _bytes_by_node(onnx, graph)
    return [
        _with_roof(LayerCost(line, 1, line.params, line.macs, moved.get(line.index, 0)), peaks)
        for line in layer_lines(graph, height=height, width=width)
    ]


def _with_roof(cost: LayerCost, peaks: Peaks | None) -> LayerCost:
    if peaks is None:
        return cost
    return replace(cost, roof=roof(FileWork(cost.macs, cost.bytes_moved), peaks))


def _bytes_by_node(onnx: bytes, graph: Graph) -> dict[int, int]:
    """Bytes of each node of the Graph; all tensors that one of them makes begin with its name."""
    found: dict[int, int] = {}
    ports = {**graph.inputs, **graph.outputs}
    for node in work_of_nodes(onnx)[0]:
        stem = node.output.partition(".")[0]
        index = ports[stem] if stem in ports else int(stem.removeprefix("t"))
        found[index] = found.get(index, 0) + node.bytes_moved
    return found


def folded(
    graph: Graph, costs: Sequence[LayerCost], peaks: Peaks | None
) -> list[LayerCost]:
    """The same with what stands several times in a row in one line."""
    together: dict[int, LayerCost] = {}
    stands_for = representatives(fold(graph, [cost.line.shape for cost in costs]))
    for index, shown in sorted(stands_for.items()):
        cost, first = costs[index], together.get(shown)
        together[shown] = cost if first is None else LayerCost(
            first.line,
            first.times + 1,
            first.params + cost.params,
            first.macs + cost.macs,
            first.bytes_moved + cost.bytes_moved,
        )
    return [_with_roof(cost, peaks) for _, cost in sorted(together.items())]


def total_ms(costs: Sequence[LayerCost]) -> float | None:
    """The least time of all layers, one after the other; None without peaks."""
    times_ms = [cost.roof.bound_ms for cost in costs if cost.roof is not None]
    return sum(times_ms) if len(times_ms) == len(costs) else None


def print_layers(console: Console, costs: Sequence[LayerCost]) -> None:
    """The table; columns that find no room are left out and named."""
    lines = [_line(cost) for cost in costs]
    last = _total(costs)
    names = [name for name in last if any(line.get(name) for line in (*lines, last))]
    widths = {
        name: max(len(name), *(len(line[name]) for line in (*lines, last))) for name in names
    }
    left_out = []
    for name in _LEFT_OUT_FIRST:
        if sum(widths.values()) + _GAP * len(widths) <= console.width:
            break
        if widths.pop(name, None) is not None:
            left_out.append(name)
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_footer=True)
    for name in widths:
        is_word = name in _WORDS
        table.add_column(
            name,
            footer=Text(last[name], "bold"),
            justify="left" if is_word else "right",
            no_wrap=True,
            overflow="ellipsis",
        )
    for line in lines:
        table.add_row(*(Text(line[name]) for name in widths))
    console.print(table)
    if left_out:
        words = f"left out for want of room: {', '.join(left_out)} (--json has all)"
        console.print(Text(words, style="dim"))


def _line(cost: LayerCost) -> dict[str, str]:
    line, found = cost.line, cost.roof
    return {
        "layer": line.name,
        "what": line.title,
        "": f"x{cost.times}" if cost.times > 1 else "",
        "output": line.size,
        "params": f"{cost.params:,}" if cost.params else "",
        "MACs": _short(cost.macs) if cost.macs else "",
        "moved": f"{_short(cost.bytes_moved)}B" if cost.bytes_moved else "",
        "MACs/byte": f"{cost.macs_per_byte:.3g}" if cost.macs else "",
        "at best": milliseconds(found.bound_ms) if found and cost.bytes_moved else "",
        "bound by": BOUND_BY[found.nearer] if found and cost.bytes_moved else "",
    }


def _total(costs: Sequence[LayerCost]) -> dict[str, str]:
    macs, moved = sum(c.macs for c in costs), sum(c.bytes_moved for c in costs)
    least_ms = total_ms(costs)
    return {
        "layer": "all",
        "what": "",
        "": "",
        "output": "",
        "params": f"{sum(c.params for c in costs):,}",
        "MACs": _short(macs),
        "moved": f"{_short(moved)}B",
        "MACs/byte": f"{macs / max(1, moved):.3g}",
        "at best": "" if least_ms is None else milliseconds(least_ms),
        "bound by": "",
    }


def _short(number: float) -> str:
    """Three digits and a prefix, as `2.63 G`; always with a blank before what follows."""
    for limit, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * limit:
            return f"{number / limit:.3g} {prefix}"
    return f"{number:g} "


def to_json(costs: Sequence[LayerCost]) -> list[dict[str, Any]]:
    """One entry for every layer, as plain JSON types."""
    return [_json(cost) for cost in costs]


def _json(cost: LayerCost) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": cost.line.name,
        "kind": cost.line.kind,
        "detail": cost.line.detail,
        "output_shape": list(cost.line.shape),
        "params": cost.params,
        "macs": cost.macs,
        "bytes_moved": cost.bytes_moved,
        "macs_per_byte": cost.macs_per_byte,
    }
    if cost.roof is not None:
        found |= {
            "compute_ms": cost.roof.compute_ms,
            "memory_ms": cost.roof.memory_ms,
            "at_best_ms": cost.roof.bound_ms,
            "bound_by": cost.roof.nearer,
        }
    return found
