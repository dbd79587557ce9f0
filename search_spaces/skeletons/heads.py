"""How a body's features become the output picture: head, fixed base, shuffle."""

from __future__ import annotations

from search_spaces.base import Architecture, InvalidArchitecture, UnknownName
from search_spaces.fixed_kernels import LUMA, REACH, kernel_size, packed_kernel
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import Add, Concat, Conv, DepthToSpace, Slice, SpaceToDepth

COLOURS = ("rgb", "luma")
PLANES = "ycbcr420"
"""Input and output hold a video decoder's planes: four phases of the luma, then Cb and Cr, all at
half the picture's size."""
CHROMAS = ("learned", "fixed")
HEADS = ("add", "joined")
_LUMA_PHASES, _CHROMA = 4, 2


def enlarge(
    graph: GraphBuilder, architecture: Architecture, body: int, image: int, *, shrunk: int,
    offset: float,
) -> int:
    """The picture at `scale` times the input, from a body at 1 / `shrunk` of the input's size.

    Arguments of the architecture: `head` says how the learned residual and the base meet: `add`,
    or `joined`, one convolution that reads the features and the picture; `base` is the fixed
    upsampler under the learned residual, or none; `colour` says whether the residual is learned
    for each of red, green and blue, or once for the luma, by which all three move alike; `planes`
    that the channels are those of `PLANES`, and `chroma` whether its colours are learned or
    enlarged by the base alone.

    Raises:
        UnknownName: no such base, colour or head.
        InvalidArchitecture: the channels are not those that colour and planes speak of.
    """
    channels = architecture.out_channels
    planes, colour = architecture.arg("planes", "rgb"), str(architecture.arg("colour", "rgb"))
    part = _Part(graph, architecture, body, shrunk, offset)
    if planes == PLANES:
        return _enlarge_planes(graph, architecture, part, image)
    if colour not in COLOURS:
        raise UnknownName("colour", colour, COLOURS)
    base, head = str(architecture.arg("base", "none")), str(architecture.arg("head", "add"))
    if head not in HEADS:
        raise UnknownName("head", head, HEADS)
    if head == "joined":
        return part.joined(image, base)
    if base == "none":
        if colour == "luma":
            raise _baseless(architecture)
        return graph.add(DepthToSpace, part.head(channels), factor=architecture.scale * shrunk)
    total = over_base(graph, architecture, body, image, shrunk=shrunk, offset=offset)
    return graph.add(DepthToSpace, total, factor=architecture.scale)


def over_base(
    graph: GraphBuilder, architecture: Architecture, body: int, image: int, *, shrunk: int,
    offset: float,
) -> int:
    """The phases of the enlarged picture before they are dealt out: what is learned, and the base.

    At the input's size there are none, and the base is the picture as it came.
    """
    channels, scale = architecture.out_channels, architecture.scale
    part = _Part(graph, architecture, body, shrunk, offset)
    if architecture.arg("colour", "rgb") == "luma":
        residual = graph.add(Concat, *[part.phases(1)] * channels)
    else:
        residual = part.phases(channels)
    base = str(architecture.arg("base", "none"))
    return graph.add(
        Add, residual, part.base(image, base, channels * scale**2) if scale > 1 else 0
    )


def _enlarge_planes(
    graph: GraphBuilder, architecture: Architecture, part: _Part, image: int
) -> int:
    if (architecture.in_channels, architecture.out_channels) != (6, 6):
        raise InvalidArchitecture(f"{PLANES} has 6 channels: 4 phases of the luma, Cb and Cr")
    base = str(architecture.arg("base", "none"))
    chroma = str(architecture.arg("chroma", "learned"))
    if chroma not in CHROMAS:
        raise UnknownName("chroma", chroma, CHROMAS)
    if base == "none":
        if chroma == "fixed":
            raise _baseless(architecture)
        factor = architecture.scale * part.shrunk
        return graph.add(DepthToSpace, part.head(_LUMA_PHASES + _CHROMA), factor=factor)
    phases = architecture.scale**2
    luma_in = graph.add(Slice, image, start=0, stop=_LUMA_PHASES)
    chroma_in = graph.add(Slice, image, start=_LUMA_PHASES, stop=_LUMA_PHASES + _CHROMA)
    luma_base = part.base(luma_in, LUMA + base, _LUMA_PHASES * phases)
    luma = graph.add(Add, part.phases(_LUMA_PHASES), luma_base)
    colours = part.base(chroma_in, base, _CHROMA * phases)
    if chroma == "learned":
        colours = graph.add(Add, part.phases(_CHROMA), colours)
    return graph.add(
        DepthToSpace, graph.add(Concat, luma, colours), factor=architecture.scale
    )


def _baseless(architecture: Architecture) -> InvalidArchitecture:
    return InvalidArchitecture(
        f"this {architecture.skeleton} learns the luma alone: its colours need a base "
        f"({', '.join(REACH)})"
    )


class _Part:
    """Pieces of the output, each `scale^2` phases for every channel, at the input's size."""

    def __init__(
        self, graph: GraphBuilder, architecture: Architecture, body: int, shrunk: int,
        offset: float,
    ) -> None:
        self._graph, self._architecture, self._body = graph, architecture, body
        self._offset = offset
        self.shrunk = shrunk

    def head(self, channels: int) -> int:
        """The last learned layer: all phases of so many channels, at the body's size."""
        k = int(self._architecture.arg("head_kernel", 3))
        alone = self._architecture.arg("base", "none") == "none"
        return self._graph.add(
            Conv,
            self._body,
            out_channels=channels * (self._architecture.scale * self.shrunk) ** 2,
            kernel=(k, k),
            activation=str(self._architecture.arg("head_activation", "none")),
            offset=self._offset if alone else 0.0,
        )

    def joined(self, image: int, base: str) -> int:
        """The picture from one convolution over features and picture, which begins as the base.

        At a reduced size it reads the picture's phases, so that one shuffle at the end is all.
        Features without negative values are joined with the picture as it came, others with the
        centred one: so both have their quantizer's zero in common.

        Raises:
            InvalidArchitecture: there is no base, or what is learned is the luma alone.
        """
        architecture, graph = self._architecture, self._graph
        if base == "none" or architecture.arg("colour", "rgb") != "rgb":
            raise InvalidArchitecture(
                "a joined head begins as its base, for all channels: give it one of "
                f"{', '.join(REACH)}, and no colour=luma"
            )
        centred = not graph.positive(self._body)
        picture = image if centred else 0
        if self.shrunk > 1:
            picture = graph.add(SpaceToDepth, picture, factor=self.shrunk)
        side = max(int(architecture.arg("head_kernel", 3)), packed_kernel(base, self.shrunk))
        factor = architecture.scale * self.shrunk
        made = graph.add(
            Conv,
            graph.add(Concat, self._body, picture),
            out_channels=architecture.out_channels * factor**2,
            kernel=(side, side),
            start=base,
            factor=architecture.scale,
            offset=self._offset if centred else 0.0,
        )
        return graph.add(DepthToSpace, made, factor=factor)

    def phases(self, channels: int) -> int:
        """The head, brought to the input's size."""
        head = self.head(channels)
        if self.shrunk == 1:
            return head
        return self._graph.add(DepthToSpace, head, factor=self.shrunk)

    def base(self, image: int, name: str, channels: int) -> int:
        """The fixed upsampling of what is already known."""
        k = kernel_size(name)
        return self._graph.add(
            Conv,
            image,
            out_channels=channels,
            kernel=(k, k),
            fixed=name,
            factor=self._architecture.scale,
            offset=self._offset,
        )
