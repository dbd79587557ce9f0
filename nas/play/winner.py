"""Which bundle is meant: the folder of a winner, or the best winner of a run."""

from __future__ import annotations

from pathlib import Path

from nas.networks import MANIFEST
from nas.play.base import Unplayable
from nas.zoo.entries import folder_of
from trainers.data.files import printable

_WINNERS = "winners"
_RUNS = Path("runs")


def bundle_of(spec: str) -> Path:
    """The folder of the bundle.

    Args:
        spec: that folder, or a name of the zoo; or a run's folder, or its name under `runs`, for
            its best winner.

    Raises:
        Unplayable: there is none.
    """
    path = folder_of(spec) or Path(spec).expanduser()
    if (path / MANIFEST).is_file():
        return path
    for folder in (path, _RUNS / spec):
        if (folder / _WINNERS).is_dir():
            return _best(folder)
    raise Unplayable(
        f"{printable(spec)} is no bundle: give the folder of a winner "
        "(runs/<study>/winners/<id>), of a run for its best one (runs/<study>), or a name of "
        "`nas zoo`"
    )


def _best(run: Path) -> Path:
    """The winner with the best metric under the limits."""
    bundles = sorted(path.parent for path in (run / _WINNERS).glob(f"*/{MANIFEST}"))
    if len(bundles) == 1:
        return bundles[0]
    if not bundles:
        raise Unplayable(f"{printable(run)} has no winner yet: end the search, or name another")
    from nas.evidence import EXPORTED, OutsideFolder
    from nas.workers.status import NoStudy, read_status

    try:
        front = read_status(run).front
    except (NoStudy, OutsideFolder) as error:
        raise Unplayable(f"{printable(run)} holds {len(bundles)} winners and nothing that "
                         "compares them: name one of them") from error  # fmt: skip
    # A front's next one is slower and better.
    for candidate in reversed(front):
        if candidate.has(EXPORTED) and run / candidate[EXPORTED].folder in bundles:
            return run / candidate[EXPORTED].folder
    return bundles[0]
