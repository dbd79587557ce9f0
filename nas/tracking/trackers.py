"""Tracked runs in W&B or TensorBoard; the only file that imports wandb.

A run is written whole, when its candidate's training is over, from the evidence. So it does not
matter how often that training was interrupted or on how many machines it took place, and what is
online is what is offline.
"""

from __future__ import annotations

import hashlib
import json
import netrc
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from nas.candidate import Candidate
from nas.durable import read_record, write_aside
from nas.events import Event, Finished
from nas.evidence import EXPORTED, PROBED, QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.study import Study
from nas.tracking.base import TrackingSettings, TrackingUnavailable
from nas.tracking.runs import TrackedRun, candidate_run, study_run

FOLDER, MARK = "tracking", "tracked.json"
_WANDB_HOST = "api.wandb.ai"


class Tracker(Protocol):
    """Something that shows runs."""

    def write(self, run: TrackedRun) -> None:
        """Write a run, in the place of an earlier one with the same id."""


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
        self.mode = _mode(settings.mode)

    def write(self, run: TrackedRun) -> None:
        """Write a run from its beginning to its end."""
        wandb = self._wandb
        self._folder.mkdir(parents=True, exist_ok=True)
        with wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            group=run.study,
            job_type=run.kind,
            name=run.name,
            id=_safe(run.id),
            config=dict(run.config),
            dir=str(self._folder),
            mode=self.mode,
            reinit="finish_previous",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        ) as shown:
            for row in run.history:
                shown.log(dict(row))
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
        # Its service writes on in the background; only at its end the file is surely whole.
        wandb.teardown()


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

    def write(self, run: TrackedRun) -> None:
        """Write a run; TensorBoard shows what was written last."""
        writer = self._writer(str(self._folder / _safe(run.id)))
        try:
            for index, row in enumerate(run.history):
                step = int(row.get("step", row.get("candidates", index)))
                for key, value in row.items():
                    writer.add_scalar(key, value, step)
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
    """The listener that has each candidate's run written when its training is over."""

    def __init__(self, experiment: Experiment, tracker: Tracker) -> None:
        """Nothing is written yet."""
        self._experiment, self._tracker = experiment, tracker

    def __call__(self, event: Event) -> None:
        """Write the run of what was quantized, or failed on the way there."""
        match event:
            case Finished(candidate, stage, again=False):
                if stage.evidence in (TRAINED, QUANTIZED) and _is_over(candidate):
                    _write(candidate, self._experiment, self._tracker)


def track_study(
    experiment: Experiment, study: Study, candidates: Sequence[Candidate], tracker: Tracker
) -> None:
    """Write what is still missing, and the run of the whole study."""
    for candidate in candidates:
        if _is_over(candidate) and not _is_written(candidate, experiment):
            _write(candidate, experiment, tracker)
    tracker.write(study_run(experiment, candidates, study.finished_at()))


def _is_over(candidate: Candidate) -> bool:
    """Whether it was trained in full, or broke down while it was."""
    if candidate.has(QUANTIZED):
        return True
    failed = candidate.rejected
    if failed is None:
        return False
    was_begun = candidate.has(PROBED) or not candidate.is_proposal
    return candidate.has(TRAINED) or failed.constraint == "trains" and was_begun


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
