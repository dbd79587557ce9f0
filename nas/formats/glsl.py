"""One pass of a network as GLSL: the textures that it reads, and the body of its function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nas.formats.textures import (
    LANES,
    NOTHING,
    PICTURE,
    Combined,
    Convolved,
    Pass,
    Place,
    Shuffle,
    Sum,
    View,
)

_ZEROS = "vec4(0.0)"
_INSIDE = """\
float inside(vec2 at, vec2 size) {
    vec2 within = step(vec2(0.0), at) * step(at, size - 1.0);
    return within.x * within.y;
}
"""


class Body:
    """The function that makes one texture of a pass: up to four of its channels.

    Attributes:
        text: of the whole.
        textures: what it reads, in order; the first tells which pixel it is at.
    """

    def __init__(
        self, one: Pass, quad: int, shares: Mapping[str, Fraction], *, multiple: int, scale: int
    ) -> None:
        """Write it.

        Args:
            quad: which four channels.
            shares: the size of each texture over that of the padded picture.
            multiple: by which the sides of the padded picture divide.
            scale: of the network's output, where this is the last pass; else 0.
        """
        self._pass, self._shares, self._multiple = one, shares, multiple
        self._channels = range(quad * LANES, min((quad + 1) * LANES, one.channels))
        self._names: dict[Place, str] = {}
        self._lines: list[str] = []
        self._uses_inside = False
        match one.work:
            case Sum():
                self._sum(one.work)
            case Combined():
                self._combined(one.work)
            case Shuffle():
                self._shuffle(one.work)
        self.textures = list(dict.fromkeys(place.texture for place in self._names))
        if (scale or not self.textures) and PICTURE not in self.textures:
            self.textures.append(PICTURE)
        first = PICTURE if scale else self.textures[0]
        # What is shown is not padded.
        size = f"{PICTURE}_size * {scale}.0" if scale else self._size(first, one.share)
        made = "clamp(sum, 0.0, 1.0)" if scale else "sum"
        if scale and one.channels > 1:
            made = f"vec4({made}.rgb, 1.0)"
        lines = [f"vec2 p = floor({first}_pos * {size});", *self._lines, f"return {made};"]
        reads = [f"#define {name}(at) {_reading(place)}" for place, name in self._names.items()]
        helper = _INSIDE if self._uses_inside else ""
        body = "\n".join(f"    {line}" for line in lines)
        self.text = "\n".join(reads) + f"\n{helper}vec4 hook() {{\n{body}\n}}\n"

    def _size(self, texture: str, share: Fraction) -> str:
        """The size of a grid in pixels, told by that of a texture."""
        ratio, size = share / self._shares[texture], f"{texture}_size"
        if texture == PICTURE and self._multiple > 1:
            size = f"(ceil({size} / {self._multiple}.0) * {self._multiple}.0)"
        if ratio == 1:
            return size
        divided = f" / {ratio.denominator}.0" if ratio.denominator > 1 else ""
        return f"{size} * {ratio.numerator}.0{divided}"

    def _name(self, place: Place) -> str:
        return self._names.setdefault(place, f"X{len(self._names)}")

    def _sum(self, work: Sum) -> None:
        bias = np.zeros(len(self._channels), np.float64)
        for part in work.parts:
            if isinstance(part, Convolved):
                bias += part.bias[self._channels]
        self._lines.append(f"vec4 sum = {_vector(bias)};")
        for part in work.parts:
            if isinstance(part, View):
                self._lines.append(f"sum += {self._gathered(part, 'p')};")
            else:
                self._convolved(part)
        slope = None if work.slope is None else work.slope[self._channels]
        self._lines += _activated(work.activation, slope)

    def _convolved(self, part: Convolved) -> None:
        """Each tap: the four weights of every component, times what lies there."""
        node, (top, left) = part.node, part.node.margins
        for ky, kx in np.ndindex(*node.kernel):
            y, x = (k * node.dilation - m for k, m in ((ky, top), (kx, left)))
            at = f"p * {node.stride}.0" if node.stride > 1 else "p"
            at = f"{at} + vec2({x}.0, {y}.0)" if (y, x) != (0, 0) else at
            products = list(self._tap(part, part.weight[self._channels, :, ky, kx]))
            if not products:
                continue
            added = "\n        + ".join(products)
            if (y, x) != (0, 0):
                self._uses_inside = True
                size = self._size(next(iter(self._names)).texture, part.view.share)
                added = f"inside(q, {size}) * (\n        {added})"
            self._lines.append(f"{{ vec2 q = {at};\n    sum += {added}; }}")

    def _tap(self, part: Convolved, weight: NDArray[np.float32]) -> Iterator[str]:
        """The products at one tap, with weights (up to 4, C_in); those of zeros are left out."""
        columns: dict[Place, NDArray[np.float64]] = {}
        for (place, component), column in zip(part.view.lanes, weight.T, strict=True):
            matrix = columns.setdefault(place, np.zeros((LANES, LANES)))
            matrix[component, : len(column)] += column
        for place, matrix in columns.items():
            if not matrix.any():
                continue
            read = f"{self._name(place)}(q)"
            diagonal = matrix.diagonal()
            if np.count_nonzero(matrix) == np.count_nonzero(diagonal):
                yield f"{_vector(diagonal)} * {read}"
            else:
                yield f"mat4({','.join(map(_number, matrix.ravel()))}) * {read}"

    def _combined(self, work: Combined) -> None:
        first, *others = work.parts
        self._lines.append(f"vec4 sum = {self._gathered(first, 'p')};")
        for other in others:
            if len(other.lanes) == 1:
                other = View(other.share, other.lanes * self._pass.channels)
            read = self._gathered(other, "p")
            self._lines.append(f"sum *= {read};" if work.by == "product" else
                               f"sum = max(sum, {read});")  # fmt: skip

    def _shuffle(self, work: Shuffle) -> None:
        """The pixel's phase picks one of the channels that lie at its cell."""
        factor = work.factor
        self._lines += [
            f"vec2 cell = floor(p / {factor}.0), phase = p - cell * {factor}.0;",
            f"ivec4 n = ivec4(int(phase.y * {factor}.0 + phase.x + 0.5));",
            f"vec4 sum = {_ZEROS};",
        ]
        for lane, channel in enumerate(self._channels):
            start = channel * factor**2
            found: dict[Place, list[tuple[int, int]]] = {}
            for n, (place, component) in enumerate(work.view.lanes[start : start + factor**2]):
                if (place, component) != NOTHING:
                    found.setdefault(place, []).append((component, n))
            for place, picks in found.items():
                for chosen in _apart(picks):
                    values = [chosen.get(c, -1) for c in range(LANES)]
                    picked = f"vec4(equal(n, ivec4({', '.join(map(str, values))})))"
                    read = f"{self._name(place)}(cell)"
                    self._lines.append(f"sum.{'xyzw'[lane]} += dot({read}, {picked});")

    def _gathered(self, view: View, at: str) -> str:
        """This texture's channels of a tensor, as a vec4."""
        lanes = [view.lanes[c] for c in self._channels]
        places = {place for place, _ in lanes}
        if len(places) == 1:
            read = f"{self._name(lanes[0][0])}({at})"
            order = [component for _, component in lanes]
            order += [order[-1]] * (LANES - len(order))
            return read if order == [0, 1, 2, 3] else f"{read}.{''.join('xyzw'[c] for c in order)}"
        each = [f"{self._name(place)}({at}).{'xyzw'[component]}" for place, component in lanes]
        return f"vec4({', '.join([*each, *['0.0'] * (LANES - len(each))])})"


def _apart(picks: Sequence[tuple[int, int]]) -> list[dict[int, int]]:
    """Components with the phase that each is for, a component once in each part."""
    parts: list[dict[int, int]] = []
    seen: Counter[int] = Counter()
    for component, n in picks:
        if seen[component] == len(parts):
            parts.append({})
        parts[seen[component]][component] = n
        seen[component] += 1
    return parts


def _reading(place: Place) -> str:
    at = "(at)" if place.step == 1 else f"(at) * {place.step}.0"
    if place.row or place.column:
        at = f"{at} + vec2({place.column}.0, {place.row}.0)"
    read = f"{place.texture}_tex(({at} + 0.5) * {place.texture}_pt)"
    if place.gain != 1.0:
        read = f"{read} * {_real(place.gain)}"
    return f"({read} + {_real(place.shift)})" if place.shift else f"({read})"


def _activated(name: str, slope: NDArray[np.float32] | None) -> list[str]:
    gate = "clamp(sum / 6.0 + 0.5, 0.0, 1.0)"
    # Beyond 30 neither changes in fp32, and exp of less is finite.
    safe = "clamp(sum, -30.0, 30.0)"
    made = {
        "none": "", "relu": f"max(sum, {_ZEROS})",
        "relu6": "clamp(sum, 0.0, 6.0)", "clip": "clamp(sum, 0.0, 1.0)",
        "tanh": f"tanh({safe})", "sigmoid": f"1.0 / (1.0 + exp(-{safe}))",
        "hardsigmoid": gate, "hardswish": f"sum * {gate}",
        "silu": f"sum / (1.0 + exp(-{safe}))",
    }  # fmt: skip
    if name in ("prelu", "leaky_relu"):
        assert slope is not None
        text = f"max(sum, {_ZEROS}) + {_vector(slope)} * min(sum, {_ZEROS})"
    else:
        text = made[name]
    return [f"sum = {text};"] if text else []


def _vector(values: Sequence[float] | NDArray[np.floating]) -> str:
    own = [float(value) for value in values]
    return f"vec4({', '.join(map(_number, own + [0.0] * (LANES - len(own))))})"


def _number(value: float) -> str:
    """Six digits: textures are kept in fp16, which has three."""
    return f"{value:.6g}"


def _real(value: float) -> str:
    """The same as a float that stands by itself."""
    text = f"{value:.9g}"
    return f"({text})" if "." in text or "e" in text else f"({text}.0)"

