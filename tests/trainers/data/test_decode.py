import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from trainers.data.decode import BrokenImage, decode, has_sixteen_bits

DEEP = np.random.default_rng(0).integers(0, 65536, (19, 23, 3)).astype(np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def paeth(a: int, b: int, c: int) -> int:
    """The predictor as the specification words it, one byte at a time."""
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    if pa <= pb and pa <= pc:
        return a
    return b if pb <= pc else c


def write_png(path: Path, levels: np.ndarray, filters: list[int]) -> None:
    """A 16-bit PNG whose rows take the given filters in turn."""
    height, width, channels = levels.shape
    rows = levels.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)
    step, stream = channels * 2, bytearray()
    for y in range(height):
        kind = filters[y % len(filters)]
        stream.append(kind)
        for x in range(rows.shape[1]):
            left = rows[y, x - step] if x >= step else 0
            up = rows[y - 1, x] if y else 0
            corner = rows[y - 1, x - step] if y and x >= step else 0
            guess = [0, left, up, (left + up) // 2, paeth(left, up, corner)][kind]
            stream.append((rows[y, x] - guess) % 256)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    packed = zlib.compress(bytes(stream))
    body = chunk(b"IDAT", packed[:50]) + chunk(b"IDAT", packed[50:])
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], [4, 1, 3, 0, 2]], ids=str)
def test_a_16_bit_png_keeps_every_level_whatever_its_row_filters(
    tmp_path: Path, filters: list[int]
) -> None:
    write_png(tmp_path / "deep.png", DEEP, filters)
    levels, grey = decode(tmp_path / "deep.png")
    assert levels.dtype == np.uint16
    assert np.array_equal(levels, DEEP)
    assert not grey
    assert has_sixteen_bits(tmp_path / "deep.png")


def test_pillow_sees_the_same_picture_in_8_bits(tmp_path: Path) -> None:
    """The file that the test writes is a PNG to others too."""
    write_png(tmp_path / "deep.png", DEEP, [4, 2])
    with Image.open(tmp_path / "deep.png") as image:
        eight = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(eight - DEEP / 257).max() <= 1


def test_a_grey_16_bit_png_is_repeated_and_its_transparency_dropped(tmp_path: Path) -> None:
    write_png(tmp_path / "grey.png", DEEP[..., :2], [4])
    levels, grey = decode(tmp_path / "grey.png")
    assert grey
    assert np.array_equal(levels, DEEP[..., :1].repeat(3, 2))


def test_a_16_bit_png_of_pillows_is_read_alike(tmp_path: Path) -> None:
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(decode(tmp_path / "grey.png")[0][..., 1], DEEP[..., 0])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_16_bit_tiff_keeps_every_level(
    tmp_path: Path, compression: str | None, planar: str
) -> None:
    stored = DEEP if planar == "contig" else DEEP.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "deep.tif", stored, photometric="rgb", planarconfig=planar,
                     compression=compression)  # fmt: skip
    levels, _ = decode(tmp_path / "deep.tif")
    assert np.array_equal(levels, DEEP)
    assert has_sixteen_bits(tmp_path / "deep.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_seen_upright_at_both_depths(tmp_path: Path, orientation: int) -> None:
    eight = (DEEP >> 8).astype(np.uint8)
    tag = (274, "H", 1, orientation, True)
    for name, levels in (("deep.tif", DEEP), ("flat.tif", eight)):
        tifffile.imwrite(tmp_path / name, levels, photometric="rgb", extratags=[tag])
    deep, flat = (decode(tmp_path / name)[0] for name in ("deep.tif", "flat.tif"))
    assert np.array_equal(deep >> 8, flat)


def test_a_photograph_is_seen_the_way_the_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    assert decode(tmp_path / "turned.jpg")[0].shape == (30, 20, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_8_bit_files_are_read_as_pillow_reads_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.fromarray((DEEP >> 8).astype(np.uint8)).save(path)
    levels, _ = decode(path)
    with Image.open(path) as image:
        assert np.array_equal(levels, np.asarray(image.convert("RGB")))
    assert levels.dtype == np.uint8
    assert not has_sixteen_bits(path)


def test_a_damaged_16_bit_png_is_broken_with_its_reason(tmp_path: Path) -> None:
    write_png(tmp_path / "deep.png", DEEP, [1])
    whole = (tmp_path / "deep.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.png").write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    with pytest.raises(BrokenImage, match="ends early"):
        decode(tmp_path / "cut.png")
    with pytest.raises(BrokenImage, match="checksum of a IDAT chunk"):
        decode(tmp_path / "flipped.png")


def test_pictures_of_32_bits_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "float.tif", DEEP[..., 0].astype(np.float32))
    with pytest.raises(BrokenImage, match="8 or 16 bits"):
        decode(tmp_path / "float.tif")


def test_text_with_an_images_name_is_broken(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(BrokenImage, match="no image of a known kind inside"):
        decode(tmp_path / "text.png")


def test_a_16_bit_tiff_of_an_unknown_compression_says_what_to_install(tmp_path: Path) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, DEEP, photometric="rgb", compression="zlib")
    tiff = bytearray(file.getvalue())
    # Tag 259 (compression), one SHORT: 8 (deflate) becomes 5 (LZW).
    place = tiff.index(struct.pack("<HHI", 259, 3, 1))
    tiff[place + 8 : place + 10] = struct.pack("<H", 5)
    (tmp_path / "lzw.tif").write_bytes(tiff)
    with pytest.raises(BrokenImage, match="pip install imagecodecs, or save it"):
        decode(tmp_path / "lzw.tif")
