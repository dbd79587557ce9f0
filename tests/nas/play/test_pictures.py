"""Picture files keep what they hold on their way through a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_bundles import enlarger, picture, write_bundle
from PIL import Image, ImageCms

from nas.play.base import Played, Unplayable
from nas.play.pictures import Picture, compared, read_picture, write_picture
from nas.play.places import places
from nas.play.play import How, play
from runtime import load
from runtime.signature import Port, Signature
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import Activation, Concat, Conv

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enlarges bicubically."""
    folder = tmp_path_factory.mktemp("bundles") / "b"
    return write_bundle(folder, enlarger(), precisions=("fp32",))


def run(bundle: Path, what: Path, to: Path, *, force: bool = False, **how: Any) -> Played:
    job = places(str(what), str(to), force=force)
    return play(load(bundle), job, how=How(**how), told=lambda *_: None)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_depth_alpha_grey_and_profile_are_kept(
    suffix: str, dtype: type, channels: int, with_alpha: bool, bundle: Path, tmp_path: Path
) -> None:
    alpha = picture(24, 32, 1, dtype)[..., 0] if with_alpha else None
    icc = PROFILE if channels == 3 else None
    before = Picture(picture(24, 32, channels, dtype), alpha, icc)
    write_picture(tmp_path / f"in{suffix}", before)
    run(bundle, tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
    after = read_picture(tmp_path / f"out{suffix}")
    # Few readers know a TIFF of grey in 16 bits with transparency: it is written in colours.
    coloured = suffix == ".tif" and channels == 1 and dtype is np.uint16 and with_alpha
    assert after.colours.shape == (48, 64, 3 if coloured else channels)
    assert after.colours.dtype == dtype and after.icc == icc
    assert (after.alpha is not None) == with_alpha
    if after.alpha is not None and alpha is not None:
        assert after.alpha.shape == (48, 64) and after.alpha.dtype == dtype
        middle = after.alpha.astype(float).mean() - alpha.astype(float).mean()
        assert abs(middle) < np.iinfo(dtype).max / 50
    if dtype is np.uint16:
        assert np.count_nonzero(after.colours % 257) > after.colours.size / 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_is_turned_as_the_camera_was_held_and_keeps_its_notes(
    suffix: str, bundle: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    upright = np.zeros((24, 32, 3), np.uint8)
    upright[:12, :, 0] = 250
    Image.fromarray(np.rot90(upright)).save(
        tmp_path / f"in{suffix}", exif=exif, icc_profile=PROFILE, quality=98
    )
    run(bundle, tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as made:
        assert made.size == (64, 48) and made.info["icc_profile"] == PROFILE
        assert made.getexif().get(0x0112, 1) == 1 and made.getexif()[0x010F] == "a camera"
        red = np.asarray(made)[..., 0].astype(int)
    assert red[4:18, 4:-4].min() > 200 and red[30:44, 4:-4].max() < 50


def test_sixteen_bits_become_eight_where_a_format_has_no_more(
    bundle: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "in.png", Picture(picture(24, 32, 3, np.uint16)))
    run(bundle, tmp_path / "in.png", tmp_path / "out.jpg")
    assert read_picture(tmp_path / "out.jpg").colours.dtype == np.uint8


def test_transparency_is_not_lost_in_silence(bundle: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "in.png", Picture(picture(), picture()[..., 0]))
    with pytest.raises(Unplayable, match=r"cannot hold the picture's transparency: .*\.png"):
        run(bundle, tmp_path / "in.png", tmp_path / "out.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_a_comparison_is_bicubic_on_the_left_and_the_networks_on_the_right() -> None:
    source, made = np.full((20, 30, 3), 90, np.uint8), np.full((40, 60, 3), 200, np.uint8)
    split = compared(source, made)
    assert (split[:, :29] == 90).all() and (split[:, 31:] == 200).all()
    assert (split[:, 29:31] == 255).all() and (made == 200).all()
    assert compared(np.zeros((1, 1, 3), np.uint8), made[:2, :2]).shape == (2, 2, 3)


def test_a_folder_goes_on_where_it_stopped(bundle: Path, tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.jpg", "sub/c.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture()).save(tmp_path / "in" / name)
    (tmp_path / "in/notes.txt").write_text("no picture")
    out = tmp_path / "out"
    assert run(bundle, tmp_path / "in", out).frames == 3
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {"a.png", "sub/b.jpg", "sub/c.png"}
    (out / "sub/c.png").unlink()
    before = (out / "a.png").stat().st_mtime_ns
    again = run(bundle, tmp_path / "in", out)
    assert (again.frames, again.kept) == (1, 2)
    assert (out / "a.png").stat().st_mtime_ns == before
    assert run(bundle, tmp_path / "in", out, force=True).frames == 3


def test_a_broken_picture_of_a_folder_does_not_stop_the_others(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png"):
        Image.fromarray(picture()).save(tmp_path / "in" / name)
    (tmp_path / "in/b.png").write_bytes(b"no picture")
    played = run(bundle, tmp_path / "in", tmp_path / "out")
    assert played.frames == 2
    assert [line.split("/")[-1][:23] for line in played.failures] == ["b.png is no picture tha"]
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_what_cannot_be_done_is_told_before_anything_is_read(
    bundle: Path, tmp_path: Path
) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    (tmp_path / "in").mkdir()
    there = tmp_path / "there.png"
    there.write_bytes(b"mine")
    for what, to, words in (
        ("a.png", "there.png", "is there already: --force replaces it"),
        ("none.png", "b.png", "there is no .*none.png: name a picture, a folder"),
        ("a.png", "b.xyz", "b.xyz is no name of a picture: let it end in .png"),
        ("in", "out", "in is empty"),
        ("in", "out.png", "is a folder, so OUT has to be one"),
        ("in", "in/out", "which is read: name a folder outside of it"),
    ):
        with pytest.raises(Unplayable, match=words):
            run(bundle, tmp_path / what, tmp_path / to)
    assert there.read_bytes() == b"mine"
    run(bundle, tmp_path / "a.png", there, force=True)
    assert read_picture(there).colours.shape == (48, 64, 3)
    run(bundle, tmp_path / "a.png", tmp_path / "new")
    assert (tmp_path / "new/a.png").is_file()


def remembering(folder: Path) -> Path:
    """A network whose picture is its frame, dimmed by half of what it gave before."""
    builder = GraphBuilder(Port("image", 3), Port("before", 3, kind="state"))
    both = builder.add(Concat, 0, 1)
    made = builder.add(Conv, both, out_channels=3, kernel=(1, 1))
    graph = builder.finish({"made": builder.add(Activation, made, activation="relu"),
                            "kept": 0})  # fmt: skip
    signature = Signature(
        (Port("image", 3), Port("before", 3, kind="state")),
        (Port("made", 3), Port("kept", 3, kind="state")),
        {"kept": "before"},
    )
    return write_bundle(folder, graph, precisions=("fp32",), signature=signature)


def test_a_network_with_a_memory_sees_a_folder_frame_by_frame(tmp_path: Path) -> None:
    bundle = remembering(tmp_path / "b")
    (tmp_path / "in").mkdir()
    first, second = picture(), picture()[::-1]
    for name, frame in (("1.png", first), ("2.png", second)):
        Image.fromarray(frame).save(tmp_path / "in" / name)
    run(bundle, tmp_path / "in", tmp_path / "out")
    together = read_picture(tmp_path / "out/2.png").colours
    expected = list(load(bundle).frames([first, np.ascontiguousarray(second)]))
    assert np.array_equal(together, expected[1])
    run(bundle, tmp_path / "in/2.png", tmp_path / "alone.png")
    assert not np.array_equal(together, read_picture(tmp_path / "alone.png").colours)
    (tmp_path / "out/2.png").unlink()
    Image.fromarray(picture(8, 8)).save(tmp_path / "in/3.png")
    with pytest.raises(ValueError, match="they have to be of one size"):
        run(bundle, tmp_path / "in", tmp_path / "out")
    assert np.array_equal(together, read_picture(tmp_path / "out/2.png").colours)
