"""Tracked runs in W&B or TensorBoard; the only file that imports wandb.

A run follows its candidate's training, and is written to its end when that is over. Both are made
from the evidence: what is not shown yet is added, so it does not matter how often a training was
interrupted or on how many machines it took place, and what is online is what is offline.
"""

from __future__ import annotations

import glob
import hashlib
import json
import math
import netrc
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nas.candidate import Candidate
from nas.curves import Row
from nas.durable import read_record, write_aside
from nas.events import Event, Finished, Judged, Step
from nas.evidence import EXPORTED, PROBED, QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.own_code import described
from nas.study import Study
from nas.tracking.base import TrackingSettings, TrackingUnavailable
from nas.tracking.runs import TrackedRun, candidate_run, running, study_run

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER, MARK = "tracking", "tracked.json"
_SHOW_EVERY_S = 5.0
_WANDB_HOST = "api.wandb.ai"


class Tracker(Protocol):
    """Something that shows runs."""

    def show(self, run: TrackedRun) -> None:
        """Bring the curves of a run that still goes on up to date."""

    def write(self, run: TrackedRun) -> None:
        """Write a run to its end, in the place of an earlier one with the same id."""


def open_tracker(settings: TrackingSettings, folder: Path) -> Tracker | None:
    """The tracker that was asked for, writing under the study's folder; None for none.

    Raises:
        TrackingUnavailable: its package is missing.
    """
    if settings.kind == "wandb":
        return WandbTracker(settings, folder / FOLDER)
    if settings.kind == "tensorboard":
        return TensorBoardTracker(folder / FOLDER / "tensorboard")
    return None


class WandbTracker:
    """Runs in W&B; offline ones lie in the study's folder until `wandb sync` sends them."""

    def __init__(self, settings: TrackingSettings, folder: Path) -> None:
        """Check that it can be used.

        Raises:
            TrackingUnavailable: wandb is not installed.
        """
        try:
            import wandb
        except ImportError as error:
            raise TrackingUnavailable(
                "tracking=wandb needs W&B: pip install 'freeway-nas[wandb]', or give "
                "tracking=none"
            ) from error
        self._wandb = wandb
        self._settings, self._folder = settings, folder
        self._open: dict[str, Any] = {}
        self.mode = _mode(settings.mode)

    def show(self, run: TrackedRun) -> None:
        """Log the rows that are not shown yet: W&B's own step counts those that are."""
        shown = self._open.get(run.id) or self._begun(run)
        for row in run.history[shown.step :]:
            shown.log(dict(row))

    def write(self, run: TrackedRun) -> None:
        """Write a run to its end."""
        wandb = self._wandb
        self.show(run)
        shown = self._open[run.id]
        media: dict[str, Any] = {
            f"images/{name}": wandb.Image(pixels) for name, pixels in run.images.items()
        }
        if run.drawing is not None:
            media["architecture"] = wandb.Html(run.drawing)
        for name, table in run.tables.items():
            rows = [list(row) for row in table.rows]
            media[name] = wandb.Table(columns=list(table.columns), data=rows)
        if media:
            shown.log(media)
        shown.summary.update(dict(run.summary))
        for name, path in run.bundles.items():
            kind = "report" if path.is_file() else "network"
            artifact = wandb.Artifact(_safe(f"{run.study}-{name}"), type=kind)
            (artifact.add_file if path.is_file() else artifact.add_dir)(str(path))
            shown.log_artifact(artifact)
        shown.finish()
        # Its service writes on in the background; only at its end the file is surely whole. Other
        # runs end with it, and are gone on with when there is something to show of them.
        wandb.teardown()
        self._open.clear()

    def _begun(self, run: TrackedRun) -> Any:
        """A run that is open from now on: online it is resumed, offline it begins again."""
        online, safe = self.mode == "online", _safe(run.id)
        self._folder.mkdir(parents=True, exist_ok=True)
        if not online:
            for before in self._folder.glob(f"wandb/offline-run-*-{glob.escape(safe)}"):
                shutil.rmtree(before)
        shown = self._wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            group=run.study,
            job_type=run.kind,
            name=run.name,
            id=safe,
            resume="allow" if online else None,
            config=dict(run.config),
            dir=str(self._folder),
            mode=self.mode,
            # Several networks may be trained at once.
            reinit="create_new",
            settings=self._wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )
        self._open[run.id] = shown
        return shown


class TensorBoardTracker:
    """Runs as TensorBoard's event files."""

    def __init__(self, folder: Path) -> None:
        """Check that it can be used.

        Raises:
            TrackingUnavailable: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrackingUnavailable(
                "tracking=tensorboard needs it: pip install 'freeway-nas[tensorboard]', or give "
                "tracking=none"
            ) from error
        self._writer = SummaryWriter
        self._folder = folder
        self._open: dict[str, tuple[SummaryWriter, list[Row]]] = {}

    def show(self, run: TrackedRun) -> None:
        """Write the rows that are not shown yet; a run that is opened anew begins again."""
        if run.id not in self._open:
            # Whatever earlier files of this run say, from step 0 on, is void.
            self._open[run.id] = self._writer(str(self._folder / _safe(run.id)), purge_step=0), []
        writer, shown = self._open[run.id]
        for row in run.history[len(shown) :]:
            step = int(row.get("step", row.get("candidates", len(shown))))
            for key, value in row.items():
                writer.add_scalar(key, value, step)
            shown.append(row)
        writer.flush()

    def write(self, run: TrackedRun) -> None:
        """Write a run to its end; TensorBoard shows what was written last."""
        self.show(run)
        writer, _ = self._open.pop(run.id)
        try:
            for name, pixels in run.images.items():
                writer.add_image(name, pixels, dataformats="HWC")
            writer.add_text("config", _as_text(run.config))
            writer.add_text("summary", _as_text(run.summary))
            for name, table in run.tables.items():
                lines = [table.columns, ["---"] * len(table.columns), *table.rows]
                text = "\n".join(" | ".join(map(str, line)) for line in lines)
                writer.add_text(name, text)
        finally:
            writer.close()


class Tracked:
    """The listener that has each candidate's run follow its training, and written at its end."""

    def __init__(self, experiment: Experiment, tracker: Tracker) -> None:
        """Nothing is shown yet."""
        self._experiment, self._tracker = experiment, tracker
        self._shown_s: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Show how far a training is; write the run of what was quantized or failed before."""
        match event:
            case Step(candidate) | Judged(candidate) if _was_begun(candidate):
                self._show(candidate)
            case Finished(candidate, stage, again=False):
                if stage.evidence in (TRAINED, QUANTIZED) and _is_over(candidate):
                    _write(candidate, self._experiment, self._tracker)

    def _show(self, candidate: Candidate) -> None:
        """Now and then: every curve is read again for it."""
        name, now_s = candidate.name, time.monotonic()
        if now_s - self._shown_s.get(name, -math.inf) < _SHOW_EVERY_S:
            return
        try:
            self._tracker.show(running(candidate, self._experiment))
            self._shown_s[name] = time.monotonic()
        # A service that is away keeps no training from going on.
        except Exception as error:
            self._shown_s[name] = math.inf
            self._experiment.note(
                f"{name} is not followed ({described(error)}): its run is written at its end"
            )


def track_study(
    experiment: Experiment, study: Study, candidates: Sequence[Candidate], tracker: Tracker
) -> None:
    """Write what is still missing, and the run of the whole study."""
    track_missing(experiment, candidates, tracker)
    tracker.write(study_run(experiment, candidates, study.finished_at()))


def track_missing(
    experiment: Experiment, candidates: Sequence[Candidate], tracker: Tracker
) -> None:
    """Write the runs of candidates that were not written when their training was over."""
    for candidate in candidates:
        if _is_over(candidate) and not _is_written(candidate, experiment):
            _write(candidate, experiment, tracker)


def _was_begun(candidate: Candidate) -> bool:
    """Whether a training of it is the full one: proposals are probed before."""
    return candidate.has(PROBED) or not candidate.is_proposal


def _is_over(candidate: Candidate) -> bool:
    """Whether it was trained in full, or broke down while it was."""
    if candidate.has(QUANTIZED):
        return True
    failed = candidate.rejected
    if failed is None:
        return False
    return candidate.has(TRAINED) or failed.constraint == "trains" and _was_begun(candidate)


def _write(candidate: Candidate, experiment: Experiment, tracker: Tracker) -> None:
    tracker.write(candidate_run(candidate, experiment))
    mark = experiment.ledger.home(candidate.name) / MARK
    write_aside(mark, json.dumps({"evidence": _digest(candidate)}).encode())


def _is_written(candidate: Candidate, experiment: Experiment) -> bool:
    path = experiment.ledger.home(candidate.name) / MARK
    if not path.is_file():
        return False
    remedy = "remove it, and the run is written again"
    written = read_record(path, lambda known: str(known.get("evidence")), remedy=remedy)
    return written == _digest(candidate)


def _digest(candidate: Candidate) -> str:
    """Of what a candidate's run shows: all but the export, which belongs to the study's run."""
    case = candidate.without(EXPORTED).to_json()
    return hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()


def _mode(asked: str) -> Literal["online", "offline"]:
    if asked == "online" or asked == "auto" and _has_account():
        return "online"
    return "offline"


def _has_account() -> bool:
    """Whether W&B would find a key: in its variable or in the netrc file it writes."""
    if os.environ.get("WANDB_MODE") == "offline":
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = os.environ.get("NETRC") or str(Path.home() / ".netrc")
        return netrc.netrc(file).authenticators(_WANDB_HOST) is not None
    except (OSError, RuntimeError, netrc.NetrcParseError):
        # RuntimeError: there is no home folder.
        return False


def _safe(name: str) -> str:
    """Letters that every tracker takes in an id."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:120]


def _as_text(values: Any) -> str:
    return "    " + json.dumps(values, indent=1, default=str).replace("\n", "\n    ")
