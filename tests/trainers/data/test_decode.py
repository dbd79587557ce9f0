import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from trainers.data.decode import MOST_PIXELS, BrokenImage, decode, has_sixteen_bits

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


def write_png(
    path: Path, levels: np.ndarray, filters: list[int], *, exif: bytes | None = None
) -> None:
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
    told = b"" if exif is None else chunk(b"eXIf", exif)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + told + body + chunk(b"IEND", b"")
    )


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = number
    return exif


def write_claim(path: Path, width: int, height: int, *, bits: int) -> None:
    """A PNG of a few bytes whose header claims this size."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0"))
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


@pytest.mark.parametrize("number", range(1, 9))
def test_a_turned_png_is_seen_upright_at_both_depths(tmp_path: Path, number: int) -> None:
    exif = orientation(number)
    write_png(tmp_path / "deep.png", DEEP, [4], exif=exif.tobytes()[6:])
    Image.fromarray((DEEP >> 8).astype(np.uint8)).save(tmp_path / "flat.png", exif=exif)
    deep, flat = (decode(tmp_path / name)[0] for name in ("deep.png", "flat.png"))
    assert np.array_equal(deep >> 8, flat)
    with Image.open(tmp_path / "flat.png") as image:
        assert np.array_equal(flat, np.asarray(ImageOps.exif_transpose(image)))


BROKEN_EXIF = {
    "no TIFF inside": bytes.fromhex("000800020112000333b76994"),
    "nothing": b"",
    "cut off": b"MM\0*\0\0\0\x08\0\x02\x01\x12",
    "points beyond its end": b"II*\0\xff\xff\0\0",
    "no such orientation": b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0" + bytes(4),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["png", "deep.png", "jpg", "webp"])
@pytest.mark.parametrize("exif", BROKEN_EXIF.values(), ids=BROKEN_EXIF)
def test_a_sound_picture_with_broken_exif_is_read_as_it_lies(
    tmp_path: Path, kind: str, exif: bytes
) -> None:
    path, plain = tmp_path / f"photo.{kind}", tmp_path / f"plain.{kind}"
    eight = Image.fromarray((DEEP >> 8).astype(np.uint8))
    for place, told in ((path, exif), (plain, None)):
        if kind == "deep.png":
            write_png(place, DEEP, [1], exif=told)
        elif told is None:
            eight.save(place)
        else:
            eight.save(place, exif=b"Exif\0\0" + told)
    assert np.array_equal(decode(path)[0], decode(plain)[0])


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


def test_a_tiff_whose_tags_are_damaged_is_broken_at_both_depths(tmp_path: Path) -> None:
    """One byte of the table of tags after the other is made something else."""
    for name, levels in (("deep", DEEP), ("flat", (DEEP >> 8).astype(np.uint8))):
        tifffile.imwrite(tmp_path / "whole.tif", levels, photometric="rgb")
        whole = (tmp_path / "whole.tif").read_bytes()
        refused = 0
        for place in range(8, 200):
            damaged = bytearray(whole)
            damaged[place] ^= 0x41
            path = tmp_path / f"{name}.tif"
            path.write_bytes(damaged)
            for read in (decode, has_sixteen_bits):
                try:
                    read(path)
                except BrokenImage as error:
                    refused += 1
                    assert "\n" not in str(error)
        assert refused


def test_what_a_decoder_stumbles_over_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(path: Path) -> None:
        raise TypeError("'<' not supported between instances of 'tuple' and 'int'")

    monkeypatch.setattr(Image, "open", stumble)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(BrokenImage, match="^damaged: its decoder fails with TypeError$"):
        decode(tmp_path / "photo.jpg")


def test_a_photograph_of_100_megapixels_is_read_without_a_word(tmp_path: Path) -> None:
    """More than Pillow reads without a warning, and warnings are errors here."""
    Image.new("L", (10_000, 10_000), 7).save(tmp_path / "large.png")
    levels, grey = decode(tmp_path / "large.png")
    assert levels.shape == (10_000, 10_000, 3)
    assert grey


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("side", [MOST_PIXELS // 20_000 + 1, 2**31 - 1])
def test_a_file_that_claims_an_absurd_size_is_refused_in_words(
    tmp_path: Path, bits: int, side: int
) -> None:
    write_claim(tmp_path / "claim.png", side, 20_000, bits=bits)
    with pytest.raises(BrokenImage, match="more than 500 megapixels, the most that is read"):
        decode(tmp_path / "claim.png")


def test_a_claim_of_200_megapixels_is_not_refused_for_its_size(tmp_path: Path) -> None:
    write_claim(tmp_path / "claim.png", 16_320, 12_240, bits=16)
    with pytest.raises(BrokenImage, match="the picture data ends early"):
        decode(tmp_path / "claim.png")
