"""The C++ library and its program, built once for all tests that run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAGE = Path(__file__).parents[2] / "docs/cpp.md"
ASKED = Path(__file__).with_name("asked.cpp")
_HEADERS = ("/usr/include/nlohmann/json.hpp", "/usr/local/include/nlohmann/json.hpp")
_ONNXRUNTIME = "onnxruntime_cxx_api.h"


def missing() -> str:
    """What is not here to build with; empty where all is."""
    lacks = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
    if not any(Path(header).is_file() for header in _HEADERS):
        lacks.append("nlohmann-json3-dev")
    return ", ".join(lacks)


@dataclass(frozen=True)
class Programs:
    """What was built.

    Attributes:
        folder: of the build.
        engines: that were built in.
    """

    folder: Path
    engines: tuple[str, ...]

    def freeway(self, *words: str | Path, given: bytes = b"") -> tuple[int, bytes, str]:
        """Exit code, what was printed, and the errors."""
        return _ran([self.folder / "freeway" / "freeway", *words], given)

    def asked(self, *words: str | Path) -> bytes:
        """What the tests' own program prints."""
        code, printed, errors = _ran([self.folder / "asked", *words], b"")
        assert code == 0, errors
        return printed

    def product(self, folder: Path) -> None:
        """Run the page's program in a folder."""
        subprocess.run([self.folder / "product"], cwd=folder, check=True)


def build(folder: Path) -> Programs:
    """Build the project of docs/cpp.md, without optimization, and what the tests ask with."""
    page, project = PAGE.read_text(), folder / "project"
    blocks = {name: re.findall(f"```{name}\n(.*?)```", page, re.S) for name in ("cmake", "cpp")}
    own = f"add_executable(asked {ASKED})\ntarget_link_libraries(asked freeway::freeway)\n"
    (project / "third_party").mkdir(parents=True)
    (project / "CMakeLists.txt").write_text(blocks["cmake"][0] + own)
    (project / "main.cpp").write_text(blocks["cpp"][0])
    sources = subprocess.run(
        [sys.executable, "-m", "runtime.cpp"], check=True, capture_output=True, text=True
    )
    (project / "third_party/freeway").symlink_to(sources.stdout.strip())
    settings = {
        "OpenVINO_DIR": _cmake_of_openvino(),
        "CMAKE_BUILD_TYPE": "Debug",
        "CMAKE_UNITY_BUILD": "ON",
        "CMAKE_UNITY_BUILD_BATCH_SIZE": "0",
        "CMAKE_CXX_FLAGS": "-Werror",
        **_onnxruntime(folder / "ort"),
    }
    given = [f"-D{name}={value}" for name, value in settings.items()]
    _must("cmake", "-S", project, "-B", folder / "built", *given)
    _must("cmake", "--build", folder / "built", "-j2", "--target", "all", "freeway-program")
    programs = Programs(folder / "built", ())
    return Programs(folder / "built", tuple(programs.asked("engines").decode().split()))


def _cmake_of_openvino() -> str:
    from openvino.utils import get_cmake_path

    return str(get_cmake_path())


def _onnxruntime(folder: Path) -> dict[str, str]:
    """The wheel's library beside the headers of a system, where there are any."""
    root = os.environ.get("ONNXRUNTIME_ROOT", "/usr")
    found = sorted(Path(root, "include").glob(f"**/{_ONNXRUNTIME}"))
    if not found:
        return {}
    import onnxruntime

    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    (folder / "lib").mkdir(parents=True)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / "lib" / name).symlink_to(library)
    (folder / "include").symlink_to(found[0].parent)
    return {"ONNXRUNTIME_ROOT": str(folder)}


def _must(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def _ran(command: list[str | Path], given: bytes) -> tuple[int, bytes, str]:
    done = subprocess.run(command, input=given, capture_output=True, timeout=120)
    return done.returncode, done.stdout, done.stderr.decode()


def write_pixmap(path: Path, picture: NDArray[np.uint8]) -> Path:
    """A binary PPM, or PGM of one channel."""
    height, width, channels = picture.shape
    head = f"P{6 if channels == 3 else 5}\n# a comment\n{width} {height}\n255\n"
    path.write_bytes(head.encode() + picture.tobytes())
    return path


def read_pixmap(path: Path) -> NDArray[np.uint8]:
    """What the program wrote."""
    kind, sides, peak, levels = path.read_bytes().split(b"\n", 3)
    width, height = map(int, sides.split())
    assert (kind, peak) in ((b"P6", b"255"), (b"P5", b"255"))
    return np.frombuffer(levels, np.uint8).reshape(height, width, 3 if kind == b"P6" else 1)
