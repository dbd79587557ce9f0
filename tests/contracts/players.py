"""What loads the files of each format, as its users' programs do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

Pictures = NDArray[np.float32]
"""(N, C, H, W) in [0, 1]."""
Files = Mapping[str, bytes]
# Nothing but the shader may change a value.
_EXACT = "dithering=none:disable_linear=1"
_PICTURE = {1: "gray", 3: "rgba"}


def by_libplacebo(files: Files, pictures: Pictures, scale: int) -> Pictures:
    """What ffmpeg's libplacebo makes of pictures of 8 bits with a user shader."""
    if why := _no_libplacebo():
        pytest.skip(why)
    (shader,) = files.values()
    return _placed(shader, pictures, scale)


@cache
def _no_libplacebo() -> str:
    """Why shaders cannot be tried here; empty where they can."""
    if shutil.which("ffmpeg") is None:
        return "there is no ffmpeg (Debian: ffmpeg, mesa-vulkan-drivers)"
    shader = b"//!HOOK MAIN\n//!BIND HOOKED\nvec4 hook() { return HOOKED_texOff(0); }\n"
    black: Pictures = np.zeros((1, 3, 16, 16), np.float32)
    try:
        _placed(shader, black, 1)
    except ValueError as error:
        return f"ffmpeg runs no libplacebo here (Debian: mesa-vulkan-drivers): {error}"
    return ""


def _placed(shader: bytes, pictures: Pictures, scale: int) -> Pictures:
    count, channels, height, width = pictures.shape
    kind = _PICTURE[channels]
    levels = np.rint(pictures * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    if channels == 3:
        levels = np.concatenate([levels, np.full_like(levels[..., :1], 255)], axis=3)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shader.glsl"
        path.write_bytes(shader)
        size = f"w=iw*{scale}:h=ih*{scale}"
        filters = (
            f"format={kind},hwupload,libplacebo={size}:format={kind}:{_EXACT}:"
            f"custom_shader_path={path},hwdownload,format={kind}"
        )
        way = ["-f", "rawvideo", "-pix_fmt", kind]
        done = subprocess.run(
            ["ffmpeg", "-loglevel", "error", "-init_hw_device", "vulkan=vk:0", "-filter_hw_device",
             "vk", *way, "-s", f"{width}x{height}", "-i", "-", "-vf", filters, *way, "-"],
            input=levels.tobytes(), capture_output=True, timeout=300, check=False,
        )  # fmt: skip
    made = np.frombuffer(done.stdout, np.uint8)
    shape = (count, height * scale, width * scale, levels.shape[3])
    if done.returncode or made.size != np.prod(shape) or b"rror" in done.stderr:
        raise ValueError(done.stderr.decode(errors="replace").strip()[-2000:] or "no output")
    found = made.reshape(shape)[..., :channels].transpose(0, 3, 1, 2)
    return found.astype(np.float32) / np.float32(255)


def by_onnxruntime(files: Files, pictures: Pictures, scale: int) -> Pictures:
    """What ONNX Runtime makes of them."""
    (file,) = files.values()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    made = [session.run(None, {"input": one[None]})[0] for one in pictures]
    return np.concatenate(made)


def by_ncnn(files: Files, pictures: Pictures, scale: int) -> Pictures:
    """What ncnn makes of them on the CPU, in fp32."""
    ncnn: Any = pytest.importorskip("ncnn", reason="there is no ncnn (pip install ncnn)")
    net = ncnn.Net()
    net.opt.num_threads = 1
    for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{half}", False)
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.write_bytes(content)
            loaded = net.load_param if path.suffix == ".param" else net.load_model
            assert loaded(str(path)) == 0
    made = []
    for one in pictures:
        extractor, given = net.create_extractor(), np.ascontiguousarray(one)
        # A Mat of an array keeps no hold on it, so it has to outlive this line.
        extractor.input("data", ncnn.Mat(given).clone())
        code, found = extractor.extract("output")
        assert code == 0
        made.append(np.array(found))
    return np.stack(made)


PLAYERS: dict[str, Callable[[Files, Pictures, int], Pictures]] = {
    "mpv": by_libplacebo, "vsmlrt": by_onnxruntime, "ncnn": by_ncnn,
}  # fmt: skip
