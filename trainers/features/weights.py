"""Files of weights: where they are looked for, how they are checked, what is read from them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainers.base import DataError
from trainers.features.networks import LAYOUTS

_CLASSIFIER = ("classifier.", "conv10.")


def cache_folder() -> Path:
    """The torch hub's folder of weights, where torchvision puts what it downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def published_file(name: str, path: str | Path | None) -> Path:
    """Torchvision's file of a network: the one given, or the one in the torch hub's cache.

    Raises:
        DataError: it is not there, or it is another file.
    """
    file = LAYOUTS[name].file
    found = cache_folder() / file if path is None else Path(path).expanduser()
    if not found.is_file():
        where = "are not there" if path is None else f"are not at {found}"
        raise DataError(
            f"the weights of {name} {where}: put torchvision's file {file} into "
            f"{cache_folder()}, or give its path; nothing is downloaded"
        )
    start = file.removesuffix(".pth").rpartition("-")[2]
    check(found, sha256=start, what=f"torchvision's {file}")
    return found


def check(path: Path, *, sha256: str, what: str) -> None:
    """Refuse a file whose sha256 does not begin with these hex digits.

    Raises:
        DataError: it does not.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(sha256):
        raise DataError(
            f"{path} is not {what}: its sha256 begins with {digest[:8]} instead of {sha256[:8]}. "
            "It may be cut short; fetch it again"
        )


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` (a state dict) or `.npz` file, by name.

    Raises:
        DataError: the file is missing or holds something else.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}: give the path of a .pth or .npz with weights")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A file that is no pickle may end in any exception there is.
        raise DataError(f"{path} cannot be read as weights, it is no .pth or .npz") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise DataError(f"{path} is not a state dict: it must map names to tensors")
    return state


def features_of(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The convolutional part of a state dict, named as torchvision names it.

    The names of the original SqueezeNet (`conv1`, `fire2` to `fire9`) are translated.
    """
    taps = LAYOUTS[name].taps
    caffe = {part: f"features.{at}" for part, at in taps.items() if part.startswith("fire")}
    caffe["conv1"] = "features.0"
    kept = {}
    for key, value in state.items():
        part, _, rest = key.partition(".")
        if not key.startswith(_CLASSIFIER):
            kept[f"{caffe[part]}.{rest}" if part in caffe else key] = value
    return kept
