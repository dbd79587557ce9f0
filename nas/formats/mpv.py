"""A user shader for mpv and libplacebo, in mpv's `.hook` syntax.

Each layer is a pass for every four channels, its weights in the text; `textures.py` says what is
read where. The syntax is that of mpv's manual ("--glsl-shaders") and libplacebo's documentation
("Custom shaders"). Outside of the picture, padded to what the network's strides ask for, all is
zero as in the network; the padding itself repeats the border.
"""

from __future__ import annotations

from fractions import Fraction

from nas.formats.base import Files, FloatPrecision, Source, Unwritable, require_half
from nas.formats.glsl import Body
from nas.formats.passes import passes_of
from nas.formats.textures import LANES, PICTURE, Pass
from search_spaces.primitives import Conv

_HOOKS = {"rgb": "MAIN", "luma": "LUMA"}
_WORTH_IT = 1.2
"""So much larger than the video is its window before anything is enlarged."""


def write(source: Source, precision: FloatPrecision = "fp32") -> Files:
    """`NAME.glsl`.

    Raises:
        Unwritable: a layer cannot be written, or no hook has such planes.
    """
    if precision != "fp32":
        raise Unwritable(
            f"mpv: a shader has no {precision}, the player decides how textures are kept: use fp32"
        )
    if source.planes not in _HOOKS:
        raise Unwritable(
            f"mpv: {source.name} works on planes of {source.planes or 'its own'}, and a shader on "
            f"{' or '.join(_HOOKS)}: use another format"
        )
    require_half(source)
    passes = passes_of(source)
    shares = {PICTURE: Fraction(1)}
    for one in passes[:-1]:
        shares |= {f"{one.name}_{quad}": one.share for quad in range(_quads(one))}
    blocks = [
        _block(source, one, quad, shares, is_last=one is passes[-1])
        for one in passes for quad in range(_quads(one))
    ]  # fmt: skip
    return {f"{source.name}.glsl": (_heading(source) + "\n".join(blocks)).encode()}


def _quads(one: Pass) -> int:
    return -(-one.channels // LANES)


def _heading(source: Source) -> str:
    learned = sum(values.size for values in source.weights.values())
    return (
        f"// {source.name}: {source.planes}, x{source.scale}, {learned:,} weights. Found and "
        "trained with Freeway.\n"
        f"// mpv --glsl-shaders={source.name}.glsl VIDEO\n\n"
    )


def _block(
    source: Source, one: Pass, quad: int, shares: dict[str, Fraction], *, is_last: bool
) -> str:
    """One pass with its directives."""
    scale = source.scale if is_last else 0
    body = Body(one, quad, shares, multiple=source.multiple, scale=scale)
    lines = [f"//!HOOK {_HOOKS[source.planes]}"]
    lines += [f"//!BIND {name}" for name in body.textures]
    lines.append(f"//!DESC {source.name} {_words(source, one)}, {quad + 1} of {_quads(one)}")
    if not is_last:
        lines += [f"//!SAVE {one.name}_{quad}", f"//!COMPONENTS {LANES}"]
    lines += _sizes(one.share, source.multiple) if not is_last else _sizes(Fraction(scale), 1)
    if source.scale > 1:
        sides = [f"OUTPUT.{side} {PICTURE}.{side} / {_WORTH_IT} >" for side in "wh"]
        lines.append(f"//!WHEN {' '.join(sides)} *")
    return "\n".join(lines) + f"\n{body.text}"


def _words(source: Source, one: Pass) -> str:
    node = source.graph.nodes[one.index]
    kernel = "x".join(map(str, node.kernel)) if isinstance(node, Conv) else ""
    return " ".join(filter(None, (f"layer {one.index}", type(node).__name__, kernel)))


def _sizes(share: Fraction, multiple: int) -> list[str]:
    """The size of what a pass makes, where it is not the picture's."""
    if share == 1 and multiple == 1:
        return []
    return [
        f"//!{name} {_side(side, share, multiple)}"
        for name, side in (("WIDTH", "w"), ("HEIGHT", "h"))
    ]


def _side(side: str, share: Fraction, multiple: int) -> str:
    """One side in the player's reverse Polish notation."""
    own = f"{PICTURE}.{side}"
    words = [own]
    if multiple > 1:
        words += [f"{multiple}", own, f"{multiple}", "%", "-", f"{multiple}", "%", "+"]
    if share.numerator > 1:
        words += [f"{share.numerator}", "*"]
    if share.denominator > 1:
        words += [f"{share.denominator}", "/"]
    return " ".join(words)
