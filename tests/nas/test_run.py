"""`nas run` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_bundles import picture, write_bundle
from PIL import Image

from nas.commands.run import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run and a picture."""
    write_bundle(tmp_path / "runs/mine/winners/1a2b")
    Image.fromarray(picture(40, 50)).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_picture_comes_out_larger_and_the_speed_is_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mine", "photo.png", "large.png", "--precision", "fp32", "--tile", "36"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("1 frame made in large.png: ") and not told.err
    assert "(openvino fp32, 1 thread)" in told.out
    with Image.open(here / "large.png") as made:
        assert made.size == (100, 80)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mine photo.png", "OUT is missing: a file or a folder"),
        ("mine photo.png --realtime", "give OUT, a file or a folder"),
        ("mine photo.png o.png --realtime", "--realtime is for videos: photo.png has no frame"),
        ("mine photo.png o.png --precision fp16", "precision is 'fp16': .* ships int8, fp32"),
        ("mine photo.png o.png --tile 8", "a tile of 8 is all margin"),
        ("other photo.png o.png", "other is no bundle"),
        ("mine runs/mine/winners/1a2b/latency.json o.png", "is neither a picture nor a video"),
        ("mine photo.png o.png --threads 0", "'0' is no positive whole number"),
        ("mine", "give IN and OUT"),
        ("photo.png", "give IN and OUT"),
        ("photo.png --realtime", "give OUT, a file or a folder"),
        ("a b c d", "'d' is one too many"),
    ],
)
def test_a_mistake_is_one_line(
    line: str, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert re.search(words, said) and said.count("\n") == 1
    assert not (here / "o.png").exists()
