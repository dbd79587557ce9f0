"""Every command line of README.md, docs/ and the helps does what it says, typed as it stands."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blocks import PAGES, ROOT, begins, examples_of, lines_of, other_blocks
from desk import Desk, laid_out
from made_videos import smooth, write_video
from PIL import Image

from nas.networks import GraphNetwork, resolve
from search_spaces.references import reference

pytestmark = pytest.mark.slow
# Those of the other verbs serve or watch until Ctrl-C.
HELPS = (
    "search", "train", "prune", "run", "verify", "export", "zoo", "bench", "show", "widths",
    "doctor",
)  # fmt: skip
ONLY_COMPOSED = {
    r"cluster=gpus": "there are no eight GPUs",
    r"cluster=local .*4": "real workers at real speed; the help of `nas search` starts two",
}
REFUSED = {
    r"cluster=slurm": r"Slurm",
    r"measure-worker": r"FREEWAY_STORAGE_URL",
    r"task/loss=perceptual": r"vgg19-dcbb9e9d\.pth",
    r"task/loss=lpips": r"vgg\.pth|vgg16-397923af\.pth",
}
"""Lines that need what is not here, with what is said then: in one line, with exit code 2."""

RUNS = (
    "docs/run.md", "nas run --help", "docs/bundle.md", "nas verify --help", "docs/formats.md",
    "nas export --help",
)  # fmt: skip

Outcome = tuple[int, str, str]
Outcomes = dict[tuple[str, str], Outcome]
"""What came of a line, by page and line."""


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """What came of every line: those of a page one after the other, two pages at a time."""
    with laid_out(tmp_path_factory.mktemp("pages")) as desk, ThreadPoolExecutor(2) as pool:
        pages = [*PAGES, *(f"nas {verb} --help" for verb in HELPS)]
        found = pool.map(lambda page: _typed(desk, page), pages)
        yield {key: outcome for page in found for key, outcome in page.items()}


def _typed(desk: Desk, page: str) -> Outcomes:
    folder = desk.folder_for(page)
    _prepare(desk, folder, page)
    if page.startswith("nas "):
        said = desk.typed(page, folder)
        lines = examples_of(page.split()[1], said[1])
    else:
        lines = lines_of(page)
    made: Outcomes = {}
    for line in lines:
        shown = any(re.search(pattern, line) for pattern in ONLY_COMPOSED)
        arguments = {"TOY_ARGUMENTS": "--cfg job"} if shown else {}
        made[page, line] = desk.typed(line, folder, **arguments)
    return made


def _prepare(desk: Desk, folder: Path, page: str) -> None:
    """What the page's reader has: its own files, a network or two, a search that has ended."""
    sources = [page, "docs/your_own_space.md"] if page == "README.md" else [page]
    for text in ((ROOT / source).read_text() for source in sources if source in PAGES):
        block = r"<!-- file: (\S+) -->\n```(?:python|yaml)\n(.*?)```"
        for name, code in re.findall(block, text, re.S):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(code)
    if (folder / "my_nets.py").is_file():
        shutil.copy(folder / "my_nets.py", folder / "my_space.py")
    network = resolve("espcn", scale=None)
    assert isinstance(network, GraphNetwork)
    (folder / "my.json").write_text(json.dumps(reference("espcn", 2).to_json()))
    (folder / "net.onnx").write_bytes(network.file(network.own, "openvino"))
    if page == "nas prune --help":
        assert desk.typed("nas train ecbsr_m4c16", folder)[0] == 0
    if page in ("docs/cluster.md", "nas doctor --help", *RUNS):
        assert desk.typed("nas search", folder)[0] == 0
    if page in RUNS:
        (folder / "photos").mkdir()
        for name in ("photo.jpg", "photos/a.jpg"):
            Image.fromarray(smooth(0)).save(folder / name)
        write_video(folder / "clip.mp4")


def _expected(line: str) -> str:
    return next((words for pattern, words in REFUSED.items() if re.search(pattern, line)), "")


@pytest.mark.parametrize("page", [p for p in PAGES if lines_of(p)])
def test_the_lines_of_a_page_work_as_they_stand(page: str, outcomes: Outcomes) -> None:
    _check(page, outcomes)


@pytest.mark.parametrize("verb", HELPS)
def test_the_examples_of_a_help_work_as_they_stand(verb: str, outcomes: Outcomes) -> None:
    _check(f"nas {verb} --help", outcomes)


def _check(page: str, outcomes: Outcomes) -> None:
    mine = {line: outcome for (where, line), outcome in outcomes.items() if where == page}
    assert mine
    wrong = []
    for line, (code, output, errors) in mine.items():
        words = _expected(line)
        right = (code == 2 and re.search(words, errors)) if words else code == 0
        if not right or "Traceback" in errors:
            wrong.append(f"{line}\n  exit code {code}\n{output[-600:]}\n{errors[-1500:]}")
    assert not wrong, "\n\n".join(wrong)


def test_no_command_hides_in_a_block_that_is_not_typed() -> None:
    for page in PAGES:
        for block in other_blocks((ROOT / page).read_text()):
            assert not any(begins(line.strip()) for line in block.splitlines()), (page, block)


def test_every_exception_is_of_a_line_that_is_still_there() -> None:
    every = [line for page in PAGES for line in lines_of(page)]
    for pattern in (*ONLY_COMPOSED, *REFUSED):
        assert any(re.search(pattern, line) for line in every), pattern
