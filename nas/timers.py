"""What times a search's candidates: its engine here, measuring workers, or a compiler alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import numpy as np

from latency_models.base import AheadOfTime, Engine, EngineUnavailable
from latency_models.cards import CARDS
from latency_models.compiled import CompiledLatency, Compiler, require_builder
from latency_models.device import each_wait_once
from latency_models.engines import is_known, make_engine, pick_engine
from latency_models.engines.trt_rtx import TensorRTRTXEngine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from nas.events import Listener, Note, Tick
from nas.experiment import Runner
from nas.networks import rules_for
from nas.receipts import SCREENING
from nas.settings import SettingsError
from nas.target import Target
from nas.workers.served import ServedLatency
from runtime.signature import INPUT
from search_spaces.graph import channels_of
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

Served = Callable[
    [Callable[[str], None], Callable[[], None]], tuple[ServedLatency, ServedLatency]
]
"""Makes the latency models of a search that has no device of its own, given who is told of waits
and what is called while it waits."""


def engine_for(target: Target) -> tuple[Engine, str]:
    """The target's engine, ready to time, and why it was picked.

    Raises:
        ValueError: there is no such engine, or it has no such setting.
        EngineUnavailable: it cannot run here; says what else can be done.
    """
    settings = target.engine_settings
    try:
        return pick_engine(target.engine, threads=target.threads, settings=settings)
    except EngineUnavailable as error:
        engine = make_engine(target.engine, target.threads, settings)
        if getattr(engine, "builds", engine.available)() is not None:
            raise
        raise EngineUnavailable(
            f"{error}. Without the card nas search can have candidates timed by a machine with "
            "one (measuring=served, and nas measure-worker there), or tell what compiles "
            "(study.screen=compile)"
        ) from error


def builder_for(target: Target) -> AheadOfTime:
    """The target's engine, to compile only.

    Raises:
        SettingsError: nothing says which engine or which card, or plans are not for that card.
        EngineUnavailable: it cannot compile without its device.
    """
    if not is_known(target.engine):
        raise SettingsError(
            f"study.screen=compile needs the name of an engine, and target.engine is "
            f"'{target.engine}': give target=rtx"
        )
    if target.card is None:
        raise SettingsError(
            "study.screen=compile estimates from a card's data sheet: give target.card=<one of "
            f"{', '.join(CARDS)}>"
        )
    engine = make_engine(target.engine, target.threads, target.engine_settings)
    card = CARDS[target.card]
    if isinstance(engine, TensorRTRTXEngine):
        if (reason := engine.why_not_kind(card.kind, f"a {card.title}")) is not None:
            raise SettingsError(f"target.card is {target.card}: {reason}")
    return require_builder(engine)


def compiler_of(target: Target) -> IsolatedLatency | None:
    """The target's engine as a compiler in a process of its own; None where it is none here."""
    engine = make_engine(target.engine, target.threads, target.engine_settings)
    try:
        builder = require_builder(engine)
    except EngineUnavailable:
        return None
    return IsolatedLatency(partial(Compiler, builder))


def require_precision(runner: Runner, target: Target) -> None:
    """Let the engine run something tiny where its processor may lack the arithmetic.

    Raises:
        DeviceError: it does; the message says what it has.
    """
    if target.precision != "fp16":
        return
    graph, side = lower(reference("espcn", 2)), 16
    onnx = untrained(
        graph, precision="fp16", height=side, width=side, rules=rules_for(target.engine, target.io)
    )
    picture = np.zeros((1, channels_of(graph.nodes)[0], side, side), np.float32)
    runner.run(onnx, target.precision, [{INPUT: picture}], {})


def compiling_timer(engine: AheadOfTime, target: Target, stack: ExitStack) -> IsolatedLatency:
    """What answers with estimates, from a compiler and a card's data sheet."""
    assert target.card is not None
    return stack.enter_context(IsolatedLatency(partial(CompiledLatency, engine, target.card)))


def timers(
    engine: Engine | None, served: Served | None, stack: ExitStack, tell: Listener
) -> tuple[IsolatedLatency | ServedLatency, IsolatedLatency | ServedLatency]:
    """What times candidates quickly, and what times by the full protocol."""

    def note(line: str) -> None:
        tell(Note(line))

    def tick() -> None:
        tell(Tick())

    if engine is None:
        assert served is not None
        pair = served(note, tick)
        for one in pair:
            stack.callback(one.close)
        return pair
    waits = each_wait_once(note, tick=tick)
    quick, full = (
        stack.enter_context(
            IsolatedLatency(partial(MeasuredLatency, engine, protocol), notice=waits)
        )
        for protocol in (SCREENING, MeasuringProtocol())
    )
    return quick, full
