"""A bundle on disk: checked, and loaded into an engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from runtime.engines import ENGINES, OneSize, Ready, compiled
from runtime.ensemble import Values, eight_ways
from runtime.frames import Reach, at_one_size, padded, through
from runtime.manifest import ARCHITECTURE, RECEIPTS, BadBundle, read_manifest
from runtime.pictures import Floats, Levels
from runtime.planes import as_picture, as_planes, cell_of, planes_of
from runtime.signature import Signature, signature_of

__all__ = ["BadBundle", "Loaded", "load"]
_KEPT = 4
"""So many sizes stay compiled."""
_LOSSES = ("int8", "fp16", "fp32")
"""Precisions from the one that is shipped for its speed to the one that every bundle has."""


class Loaded:
    """A network that is ready to run; call it with a picture, or run it over frames.

    Attributes:
        folder: of the bundle.
        precision: of the file that runs.
        engine: what runs it.
        signature: its inputs and outputs by name.
        reach: how pictures may be cut, and what they are to it.
        receipt: what was measured when it was exported, as JSON; `median_ms` at `input_shape`.
    """

    def __init__(
        self,
        folder: Path,
        onnx: bytes,
        *,
        precision: str,
        engine: str,
        signature: Signature,
        reach: Reach,
        receipt: Mapping[str, Any],
        threads: int,
        tile: int | None,
        ensemble: bool,
    ) -> None:
        """Keep the file; it is compiled for a size when the first input of that size comes."""
        self.folder, self.precision, self.engine = folder, precision, engine
        self.signature, self.reach, self.receipt = signature, reach, receipt
        self._onnx, self._threads, self._tile = onnx, threads, tile
        self._compiled: dict[tuple[tuple[int, ...], ...], Ready] = {}
        self._at_one_size: Values | None = None
        self._ensemble = ensemble

    @property
    def channels(self) -> int:
        """Of its first input."""
        return self.signature.inputs[0].channels

    @property
    def scale(self) -> int:
        """How much larger than a picture that is what it makes of it."""
        return self.signature.scale

    @property
    def makes_frames(self) -> bool:
        """Whether it makes of each frame one that is as large or a whole number of times as large.

        It may carry a state from one frame to the next.
        """
        given, (made, *more) = self.signature.given, self.signature.outputs
        if len(given) > 1 or any(port.name not in self.signature.carried for port in more):
            return False
        whole = made.scale is not None and made.scale.denominator == 1 == given[0].scale
        return whole and given[0].kind == made.kind == "image"

    def __call__(self, picture: Levels) -> Levels:
        """(h, w, C) -> (H, W, C) of as many bits, 8 or 16; of any size, large ones in tiles.

        A grey picture may be (h, w), and several of one size (N, h, w, C). A network that sees
        luma or a decoder's planes takes RGB (h, w, 3) as well as its planes, and gives the same.

        Raises:
            ValueError: another type or number of channels, a size that the engine cannot run, or
                the network takes or gives more than one picture.
            FloatingPointError: the output has values that are not finite.
        """
        (source, *others), (made_as, *more) = self.signature.inputs, self.signature.outputs
        if others or more or (source.kind, made_as.kind) != ("image", "image"):
            raise ValueError(self._other_ports())
        pixels, planes = self._fitting(picture)
        if self.makes_frames:
            reach, tile = self.reach, self._tile
            made = through(
                pixels, self._frame, reach=reach, planes=planes, scale=self.scale, tile=tile
            )
        else:
            made = as_picture(self.run(as_planes(pixels, planes)), pixels, planes)
        return made[0, ..., 0] if picture.ndim == 2 else made if picture.ndim == 4 else made[0]

    def frames(self, pictures: Iterable[Levels]) -> Iterator[Levels]:
        """Run over pictures that follow each other; what the network carries stays between them.

        A network that carries nothing makes each by itself, as a call does; one that does is
        given whole pictures of one size.

        Raises:
            ValueError: as a call does.
            FloatingPointError: an output has values that are not finite.
        """
        if not (self.signature.carried and self.makes_frames):
            yield from (self(picture) for picture in pictures)
            return
        now: list[tuple[Levels, str, tuple[int, ...]]] = []

        def given() -> Iterator[Mapping[str, Floats]]:
            for picture in pictures:
                pixels, planes = self._fitting(picture)
                full = padded(pixels, self.reach.multiple * cell_of(planes))
                if now and now[0][0].shape != full.shape:
                    raise ValueError(
                        "this network remembers earlier pictures: they have to be of one size"
                    )
                now[:] = [(full, planes, pixels.shape)]
                yield {self.signature.given[0].name: as_planes(full, planes)}

        for outputs in self.over(given()):
            (full, planes, (_, height, width, _)), scale = now[0], self.scale
            made = as_picture(outputs[self.signature.outputs[0].name], full, planes)
            yield made[0, : height * scale, : width * scale]

    def _fitting(self, picture: Levels) -> tuple[Levels, str]:
        """(N, h, w, C), and which planes are to be made of them."""
        image = np.asarray(picture)
        if image.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"the picture is {image.dtype}: give uint8 or uint16, or numbers in [0, 1] of "
                "shape (1, C, h, w) to `run`"
            )
        image = image[:, :, None] if image.ndim == 2 else image
        takes = self.signature.given[0].channels
        colours = 3 if self.reach.planes in ("luma", "ycbcr420") else takes
        if image.ndim not in (3, 4) or image.shape[-1] not in (takes, colours):
            shape = "x".join(map(str, image.shape))
            raise ValueError(f"the picture is {shape}: this network takes (h, w, {takes})")
        if not image.size:
            raise ValueError("the picture has no pixels")
        several = image if image.ndim == 4 else image[None]
        return several, "" if image.shape[-1] == takes else self.reach.planes

    def _other_ports(self) -> str:
        takes, gives = (
            ", ".join(port.name for port in ports)
            for ports in (self.signature.inputs, self.signature.outputs)
        )
        return (
            f"this network takes {takes} and gives {gives}: give arrays by name to `run`, or "
            "those of each frame to `over`"
        )

    def _frame(self, pixels: Levels, planes: str) -> Levels:
        """The one place where frames become a network's input, and its output frames."""
        if not (planes or self._ensemble or self._at_one_size) and pixels.dtype == np.uint8:
            made = self._of_bytes(pixels)
            if made is not None:
                return made
        network = eight_ways(self._values) if self._ensemble else self._values
        return as_picture(network(as_planes(pixels, planes)), pixels, planes)

    def _of_bytes(self, pixels: Levels) -> Levels | None:
        """The frames of a file that takes and gives them as they are; None of any other."""
        count, height, width, channels = pixels.shape
        try:
            ready = self._ready([(count, channels, height, width)])
        except OneSize:
            return None
        if set(ready.ios.values()) != {"uint8_nhwc"}:
            return None
        (made,) = ready.call({next(iter(ready.ios)): np.ascontiguousarray(pixels)}).values()
        return made if made.dtype == np.uint8 else None

    def _ready(self, shapes: Sequence[tuple[int, ...]]) -> Ready:
        """The file compiled for these shapes of its inputs; the last few stay."""
        key = tuple(shapes)
        if key not in self._compiled:
            names = [port.name for port in self.signature.inputs]
            named = dict(zip(names, key, strict=True))
            ready = compiled(self.engine, self._onnx, named, self._threads)
            if len(self._compiled) == _KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = ready
        return self._compiled[key]

    def _values(self, array: Floats) -> Floats:
        """(N, C, h, w) -> (N, C, H, W) of any size, by whatever size the engine runs."""
        if self._at_one_size is None:
            try:
                return self.run(array)
            except OneSize as error:
                shape = next(iter(error.shapes.values()))
                self._at_one_size = at_one_size(
                    self.run, (shape[2], shape[3]), reach=self.reach, scale=self.scale
                )
        return self._at_one_size(array)

    @overload
    def run(self, values: NDArray[np.floating]) -> Floats: ...

    @overload
    def run(self, values: Mapping[str, NDArray[np.floating]]) -> dict[str, Floats]: ...

    def run(
        self, values: NDArray[np.floating] | Mapping[str, NDArray[np.floating]]
    ) -> Floats | dict[str, Floats]:
        """Run once; nothing is clipped or rounded.

        Args:
            values: all inputs by name, what is carried among them, (1, C, h, w) or (1, C); or the
                array of the only one.

        Returns:
            The outputs by name, or the array of the only one.

        Raises:
            ValueError: an input is missing, or the engine cannot run this size.
        """
        alone = not isinstance(values, Mapping)
        named = {self.signature.inputs[0].name: values} if alone else dict(values)
        wanted = [port.name for port in self.signature.inputs]
        if set(named) != set(wanted):
            raise ValueError(
                f"the inputs are {', '.join(map(str, named))}: this network takes "
                f"{', '.join(wanted)}"
            )
        arrays = {name: np.ascontiguousarray(named[name], np.float32) for name in wanted}
        outputs = self._ready([array.shape for array in arrays.values()]).run(arrays)
        return next(iter(outputs.values())) if alone and len(outputs) == 1 else outputs

    def over(
        self, frames: Iterable[Mapping[str, NDArray[np.floating]]]
    ) -> Iterator[Mapping[str, Floats]]:
        """Run over frames that follow each other; what the network carries stays between them.

        Args:
            frames: for each the inputs that come from outside, by name.

        Yields:
            All outputs of each frame by name.
        """
        return self.signature.unroll(self.run, frames)


def load(
    folder: str | Path,
    *,
    precision: str | None = None,
    engine: str | None = None,
    threads: int = 1,
    tile: int | None = None,
    ensemble: bool = False,
) -> Loaded:
    """Load a winner's folder.

    Args:
        precision: of the bundle's files; the fastest by their receipts when None.
        engine: `openvino` or `onnxruntime`; the one that it was timed on when None, and never
            another one in its place.
        threads: of the engine.
        tile: the longest side of the tiles that pictures are cut into; only those of more than
            two million pixels are when None. Tiles overlap by as much as the network sees.
        ensemble: whether to average over eight ways to turn a picture: better, eight times the
            work.

    Raises:
        BadBundle: it is no bundle, is of a later version, names files elsewhere, or a file is not
            what was exported.
        ValueError: it has no such precision, or was timed on an engine that cannot run here.
    """
    manifest = read_manifest(Path(folder))
    files = {p: f"{p}.onnx" for p in _LOSSES if f"{p}.onnx" in manifest.hashes}
    if not files:
        raise BadBundle(f"{folder} names no ONNX file in its manifest: export it again")
    if precision is None:
        precision = manifest.runs if manifest.runs in files else next(iter(files))
    if precision not in files:
        raise ValueError(f"precision is '{precision}': {folder} ships {', '.join(files)}")
    onnx = manifest.read(files[precision])
    receipt = manifest.json(RECEIPTS)[precision]
    architecture = manifest.json(ARCHITECTURE)
    return Loaded(
        manifest.folder,
        onnx,
        precision=precision,
        engine=engine or _timed_on(str(receipt["engine"])),
        signature=signature_of(architecture),
        reach=_reach(manifest.picture, architecture),
        receipt=receipt,
        threads=threads,
        tile=tile,
        ensemble=ensemble,
    )


def _reach(picture: Mapping[str, Any], architecture: Mapping[str, Any]) -> Reach:
    channels = signature_of(architecture).inputs[0].channels
    return Reach.told(picture, architecture, planes_of(channels))


def _timed_on(engine: str) -> str:
    """The engine that a bundle was timed on, if it runs here.

    Raises:
        ValueError: it does not.
    """
    if engine in ENGINES and find_spec(engine) is not None:
        return engine
    why = f"is not installed (pip install {engine})" if engine in ENGINES else "is not run here"
    other = next(name for name in ENGINES if name != engine)
    raise ValueError(
        f"the bundle was timed on {engine}, which {why}; or name another one, as "
        f"engine='{other}', whose latency nobody has promised"
    )
