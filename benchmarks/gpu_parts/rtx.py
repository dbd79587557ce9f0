"""TensorRT for RTX: what it builds, and whether this GPU takes the plans.

The library builds without any GPU. A portable plan is compiled to kernels when it is loaded, by
the GPU's own architecture; which GPUs it accepts is asked here and answered in the library's
words. Of each network two plans are built: a portable one, and one for this GPU alone.
"""

from __future__ import annotations

import importlib
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from gpu_parts.base import Absent, Form, Pace, Row, Tell, left_out, one_line
from gpu_parts.timing import Item, items_of

PART = "rtx"
NAMES = ("tensorrt_rtx", "tensorrt_rtx_bindings")
_PLANS = ("portable", "this GPU")
_WARM, _RUNS = 30, 100


class Refused(Exception):
    """The library says no; the message is its own words."""


@dataclass
class Library:
    """The imported library with its logger.

    Attributes:
        said: warnings and errors since the last call.
    """

    trt: Any
    logger: Any
    said: list[str] = field(default_factory=list)

    def refusal(self, what: str) -> Refused:
        """The error for a call that gave nothing."""
        words, self.said[:] = " | ".join(self.said[-4:]), []
        return Refused(f"{what}: {words or 'the library said nothing'}")


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """Build every plan, load it and time it, or tell who refused."""
    library = imported()
    for item in (items := items_of(form.few, form.precisions, form.sizes[:1])):
        if not pace.allows():
            tell(left_out(PART, [str(other) for other in items[items.index(item) :]]))
            return
        with pace.turn():
            for plan in _PLANS:
                _tell_one(library, item, plan, tell)


def imported() -> Library:
    """The library under whichever name it is here.

    Raises:
        Absent: it is not here, or cannot be loaded.
    """
    reasons = []
    for name in NAMES:
        try:
            trt = importlib.import_module(name)
        except (ImportError, OSError) as error:  # OSError: its own library is missing
            reasons.append(f"{name}: {error}")
            continue
        said: list[str] = []

        class Listening(trt.ILogger):  # type: ignore[misc, name-defined]
            def __init__(self, threshold: int, heard: list[str]) -> None:
                super().__init__()
                self._threshold, self._heard = threshold, heard

            def log(self, severity: Any, msg: str) -> None:
                if int(severity) <= self._threshold:
                    self._heard.append(" ".join(msg.split()))

        return Library(trt, Listening(int(trt.ILogger.WARNING), said), said)
    raise Absent("; ".join(reasons))


def _tell_one(library: Library, item: Item, plan: str, tell: Tell) -> None:
    """A row for the build of a plan, and one for its run."""
    what = f"{item}, {plan}"
    began = time.monotonic()
    try:
        built = _built(library, item.file("tensorrt"), current=plan == _PLANS[1])
    except Refused as refused:
        tell(Row(PART, f"{what}, built", "refused", words=one_line(str(refused))))
        return
    seconds = time.monotonic() - began
    words = f"{len(built) / 1024:.0f} KiB, {library.trt.__name__} {library.trt.__version__}"
    tell(Row(PART, f"{what}, built", "measured", seconds, "s", words))
    what += ", run"
    try:
        times = _times_ms(library, built)
    except Refused as refused:
        tell(Row(PART, what, "refused", words=one_line(str(refused))))
        return
    except RuntimeError as error:
        tell(Row(PART, what, "failed", words=one_line(error)))
        return
    words = f"plain calls, no graph; {min(times):.4g} to {max(times):.4g} ms"
    facts = {"ms": times}
    tell(Row(PART, what, "measured", statistics.median(times), "ms", words, facts))


def _built(library: Library, onnx: bytes, *, current: bool) -> bytes:
    """A plan for any GPU that the library knows, or for the present one alone.

    Raises:
        Refused: with the parser's or the builder's words.
    """
    trt = library.trt
    library.said.clear()
    builder = trt.Builder(library.logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, library.logger)
    if not parser.parse(onnx):
        raise library.refusal("the parser refuses the file")
    config = builder.create_builder_config()
    if current:
        config.num_compute_capabilities = 1
        if not config.set_compute_capability(trt.ComputeCapability.CURRENT, 0):
            raise library.refusal("no plan for this GPU alone")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise library.refusal("no plan")
    return bytes(plan)


def _times_ms(library: Library, plan: bytes) -> list[float]:
    """Load the plan on the GPU and run it: milliseconds between two events for each run.

    Raises:
        Refused: the plan is not loaded, gets no context, or does not run; in the library's words.
    """
    import torch

    trt = library.trt
    library.said.clear()
    runtime = trt.Runtime(library.logger)  # must outlive the engine
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        validity = getattr(runtime, "get_engine_validity", lambda _plan: "not told")(plan)
        raise library.refusal(f"the plan is not loaded (validity: {validity})")
    context = engine.create_execution_context()
    if context is None:
        raise library.refusal("no context for the plan")
    held = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        held.append(torch.rand(tuple(engine.get_tensor_shape(name)), device="cuda"))
        context.set_tensor_address(name, held[-1].data_ptr())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    times: list[float] = []
    event: Any = torch.cuda.Event
    torch.cuda.synchronize()
    for index in range(_WARM + _RUNS):
        began, ended = (event(enable_timing=True) for _ in range(2))
        began.record(stream)
        if not context.execute_async_v3(stream.cuda_stream):
            raise library.refusal("the plan does not run")
        ended.record(stream)
        stream.synchronize()
        if index >= _WARM:
            times.append(began.elapsed_time(ended))
    return times
