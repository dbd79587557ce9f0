"""TensorRT's caches on disk: one file per device and version, shared by all workers.

With it a second build of the same layers is much faster and picks the same tactics more often;
engines still differ from build to build (NVIDIA/TensorRT issues 4730 and 4798).
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/freeway`, or `~/.cache/freeway`."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "freeway"


def driver_version() -> str:
    """The NVIDIA kernel driver, as Linux tells it, or `unknown`."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "unknown"
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return found.group(1) if found else "unknown"


def write_aside(path: Path, data: bytes) -> None:
    """Write next to the target, then rename: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class CacheFile:
    """One cache; valid for one library and version, GPU, driver and CUDA.

    Attributes:
        folder: where all of them lie.
        key: what its contents depend on.
        kind: what it holds: kernels' `timing`, or of TensorRT for RTX the kernels (`runtime`).
    """

    folder: Path
    key: tuple[str, ...]
    kind: str = "timing"

    @property
    def path(self) -> Path:
        """The file, with every part of the key in its name."""
        parts = (re.sub(r"[^A-Za-z0-9.]+", "_", part) for part in self.key)
        return self.folder / f"{'-'.join(parts)}.{self.kind}"

    def read(self) -> bytes:
        """The last complete cache, or nothing."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def update(self, merge: Callable[[bytes], bytes]) -> None:
        """Replace the file by `merge(what is there)`; workers take turns."""
        with self._locked():
            write_aside(self.path, merge(self.read()))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
