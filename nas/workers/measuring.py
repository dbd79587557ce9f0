"""Latency for those who lack the device: requests and answers through the study's storage.

A request is a trial of a second study, `<study>:measurements`: it waits, a measuring worker takes
it out of the queue and writes its answer, and who asked empties and closes it. A measuring worker
that was killed finds what it had begun when it is started again under the same name.
"""

from __future__ import annotations

import base64
import io
import json
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from latency_models.base import (
    Arrays,
    CompileError,
    DeviceError,
    Frames,
    LatencyReport,
    Precision,
)
from nas.storage import Notice, patient
from nas.trials import Trials

Measuring = Literal["screening", "latency"]
PROTOCOLS: tuple[Measuring, Measuring] = ("screening", "latency")
_ASK, _FILE, _INPUTS, _BY, _ANSWER = "ask", "file", "inputs", "by", "answer"
_PLAN, _SERVED, _WANTED, _LOADS, _BEAT = "plan", "served", "wanted", "loads plans", "beat "
_POLL_S, _BEAT_S = 0.25, 10.0
_PATIENCE_S = 60.0
_ERRORS: dict[str, type[Exception]] = {"compile": CompileError, "device": DeviceError}


class WrongDevice(Exception):
    """This machine is not what the study is timed on."""


class Timer(Protocol):
    """What a measuring worker measures with: one per measuring protocol."""

    def identity(self) -> dict[str, str]:
        """What its reports depend on beside the file."""

    def measure(
        self,
        onnx: bytes,
        precision: Precision,
        *,
        limit_ms: float | None = None,
        plan: bytes | None = None,
    ) -> LatencyReport:
        """As `MeasuredLatency`."""

    def run(
        self, onnx: bytes, precision: Precision, frames: Frames, carried: Mapping[str, str]
    ) -> list[Arrays]:
        """As `MeasuredLatency`."""


@dataclass(frozen=True)
class Wanted:
    """What a measuring worker needs to know before it starts.

    Attributes:
        settings: further settings of the engine, by name.
    """

    engine: str
    threads: int
    code: str
    settings: Mapping[str, Any] = field(default_factory=dict)


class Requests:
    """The queue of one study."""

    def __init__(
        self,
        storage: BaseStorage,
        study: str,
        *,
        patience_s: float = 0.0,
        notice: Notice = print,
    ) -> None:
        """Open it; made if it is not there.

        Args:
            patience_s: how long a database may be away before that is an error.
            notice: told when it is.
        """
        self.patience_s, self.notice = patience_s, notice
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            study_name=f"{study}:measurements", storage=storage, load_if_exists=True
        )
        self._trials = Trials(storage, self._study)

    @patient
    def want(self, wanted: Wanted) -> None:
        """Say what is to be measured with."""
        self._study.set_user_attr(_WANTED, vars(wanted))

    @property
    @patient
    def wanted(self) -> Wanted | None:
        """What is to be measured with, or None before any search asked."""
        said = self._study.user_attrs.get(_WANTED)
        return Wanted(**said) if said else None

    @property
    @patient
    def identity(self) -> dict[str, str] | None:
        """Of what the study is timed on, or None before any measuring worker came."""
        said: dict[str, str] | None = self._study.user_attrs.get(_SERVED)
        return said

    @patient
    def last_beat(self) -> float | None:
        """When a measuring worker was last heard of, by its own clock."""
        beats = [v for k, v in self._study.user_attrs.items() if k.startswith(_BEAT)]
        return max(beats, default=None)

    @property
    @patient
    def loads_plans(self) -> bool:
        """Whether the measuring worker loads plans that others have built."""
        return bool(self._study.user_attrs.get(_LOADS))

    @patient
    def ask(
        self,
        onnx: bytes,
        frames: Frames | None,
        ask: Mapping[str, Any],
        plan: bytes | None = None,
    ) -> int:
        """Queue a request; returns its number."""
        attrs = {_ASK: dict(ask), _FILE: _pack(onnx)}
        if plan is not None:
            attrs[_PLAN] = _pack(plan)
        if frames is not None:
            attrs[_INPUTS] = pack_frames(frames)
        before = optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=attrs)
        return self._trials.add(before)

    def answer_to(self, request: int) -> dict[str, Any] | None:
        """The answer, once it is there; the request is then emptied and closed."""
        answer = self._read(request)
        if answer is not None:
            self._close(request)
        return answer

    @patient
    def _read(self, request: int) -> dict[str, Any] | None:
        answer: dict[str, Any] | None = self._trials.read(request).user_attrs.get(_ANSWER)
        return answer

    @patient
    def _close(self, request: int) -> None:
        with suppress(UpdateFinishedTrialError):
            for key in (_FILE, _PLAN, _INPUTS, _ANSWER):
                self._trials.note(request, key, "")
            self._trials.end(request, TrialState.COMPLETE, [0.0])

    def withdraw(self, request: int) -> None:
        """Nobody waits for it any more, nor for a database that cannot be told so."""
        with suppress(UpdateFinishedTrialError, StorageInternalError):
            self._trials.end(request, TrialState.FAIL)

    @patient
    def present(
        self, name: str, identity: Mapping[str, str], *, loads_plans: bool = False
    ) -> None:
        """Join as a measuring worker.

        Args:
            loads_plans: it loads plans that come with requests, which is to run native code of
                whoever may write to this storage.

        Raises:
            WrongDevice: the study is timed on something else.
        """
        here, there = dict(identity), self.identity
        if there is None:
            self._study.set_user_attr(_SERVED, here)
        elif there != here:
            differing = sorted(k for k in {*here, *there} if here.get(k) != there.get(k))
            words = "; ".join(f"{k} is {here.get(k)}, there {there.get(k)}" for k in differing)
            raise WrongDevice(f"the study is timed on another device ({words})")
        self._study.set_user_attr(_LOADS, loads_plans)
        self.beat(name)

    @patient
    def beat(self, name: str) -> None:
        """Give a sign of life."""
        self._study.set_user_attr(_BEAT + name, time.time())

    @patient
    def take(self, name: str) -> FrozenTrial | None:
        """The next request: first what this worker had begun before it was restarted."""
        for trial in self._trials.of(TrialState.RUNNING):
            if trial.user_attrs.get(_BY) == name and _ANSWER not in trial.user_attrs:
                return trial
        for trial in self._trials.taken():
            with suppress(UpdateFinishedTrialError):  # who asked has just withdrawn it
                self._trials.note(trial.number, _BY, name)
                return trial
        return None

    @patient
    def reply(self, trial: FrozenTrial, answer: Mapping[str, Any]) -> None:
        """Write an answer; who asked may have withdrawn."""
        with suppress(UpdateFinishedTrialError):
            self._trials.note(trial.number, _ANSWER, dict(answer))


def serve(
    requests: Requests,
    timers: Mapping[str, Timer],
    *,
    name: str,
    notice: Notice,
    until: Callable[[], bool] = lambda: False,
    loads_plans: bool = False,
) -> None:
    """Answer requests one after another until told to stop.

    Args:
        timers: what measures, by protocol.
        name: of this worker; it stays the same over restarts.
        loads_plans: load the plan that comes with a request in place of compiling its file.
        until: asked between two requests.

    Raises:
        WrongDevice: the study is timed on something else.
    """
    requests.present(name, timers["latency"].identity(), loads_plans=loads_plans)
    beaten = time.monotonic()
    while not until():
        if time.monotonic() - beaten > _BEAT_S:
            requests.beat(name)
            beaten = time.monotonic()
        trial = requests.take(name)
        if trial is None:
            time.sleep(_POLL_S)
            continue
        answer = _worked(trial, timers, name, loads_plans=loads_plans)
        requests.reply(trial, answer)
        notice(_told(trial, answer))


def _worked(
    trial: FrozenTrial, timers: Mapping[str, Timer], name: str, *, loads_plans: bool
) -> dict[str, Any]:
    ask = trial.user_attrs[_ASK]
    timer, onnx = timers[ask["protocol"]], _unpack(trial.user_attrs[_FILE])
    try:
        if ask["method"] == "run":
            frames = unpack_frames(trial.user_attrs[_INPUTS])
            made = timer.run(onnx, ask["precision"], frames, ask["carried"])
            return {"outputs": pack_frames(made)}
        more = {}
        if loads_plans and (packed := trial.user_attrs.get(_PLAN)):
            more["plan"] = _unpack(packed)
        report = timer.measure(onnx, ask["precision"], limit_ms=ask["limit_ms"], **more)
    except CompileError as error:
        return {"error": "compile", "text": str(error)}
    except DeviceError as error:
        return {"error": "device", "text": f"{name}: {error}"}
    named = replace(report, conditions={**report.conditions, "measured_by": name})
    return {"report": json.loads(json.dumps(named.to_json()))}


def _told(trial: FrozenTrial, answer: Mapping[str, Any]) -> str:
    ask = trial.user_attrs[_ASK]
    if "report" in answer:
        what = f"{answer['report']['median_ms']:.4g} ms"
    else:
        what = answer.get("text", "outputs")
    return f"request {trial.number}: {ask['method']} {ask['precision']}: {what}"


def _pack(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 1)).decode()


def _unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def pack_frames(frames: Frames) -> str:
    """Frames as text, exactly."""
    buffer = io.BytesIO()
    named = {f"{i}.{name}": x for i, frame in enumerate(frames) for name, x in frame.items()}
    np.savez(buffer, allow_pickle=False, **named)
    return _pack(buffer.getvalue())


def unpack_frames(text: str) -> list[Arrays]:
    """What `pack_frames` packed."""
    found: dict[int, dict[str, NDArray[Any]]] = {}
    with np.load(io.BytesIO(_unpack(text)), allow_pickle=False) as file:
        for key in file.files:
            number, _, name = key.partition(".")
            found.setdefault(int(number), {})[name] = file[key]
    return [found[number] for number in sorted(found)]
