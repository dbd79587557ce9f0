"""From an ONNX file to a TensorRT plan, on TensorRT 10.3 or later and 11, and TensorRT for RTX.

TensorRT reports failure by returning None or False and logging; only constructors raise. So each
return is checked and the logged lines go into the error. Networks are always strongly typed:
the plan then runs exactly the types of the file, and 10 and 11 build the same thing from it
(migration guide 10.x to 11.x).
"""

# Without the library its base classes are Any to the type checker.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from latency_models.base import CompileError, DeviceError, Plan
from latency_models.engines.trt_cache import CacheFile
from latency_models.engines.trt_library import chosen, trt, used

_DEVICE_WORDS = (
    "cuda error",
    "cuda failure",
    "cudaerror",
    "cuda initialization failure",
    "cuda driver",
    "out of memory",
    "outofmemory",
)
_NO_KERNEL = "could not find any implementation"


@dataclass(frozen=True)
class BuildOptions:
    """How hard TensorRT searches; the defaults are what measurements are comparable under.

    Attributes:
        optimization_level: 0 to 5; 0 ignores the timing cache, 4 and 5 compile kernels.
        avg_timing_iterations: runs per tactic. TensorRT's default is 1, trtexec's is 8.
        workspace_mib: limit for the scratch of one tactic; None is the whole device memory.
        max_aux_streams: streams for parallel branches; None is TensorRT's choice, 0 is one
            stream, the most repeatable.
        tf32: fp32 convolutions may round their inputs to TF32, as TensorRT does by default.
        compute_capability: of TensorRT for RTX: the kinds of cards that the plan is for, such as
            `sm89`; none for one portable plan.
    """

    optimization_level: int = 3
    avg_timing_iterations: int = 8
    workspace_mib: int | None = None
    max_aux_streams: int | None = None
    tf32: bool = True
    compute_capability: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.optimization_level <= 5:
            raise ValueError(f"optimization_level is {self.optimization_level}, not in 0..5")
        if self.avg_timing_iterations < 1:
            raise ValueError(f"avg_timing_iterations is {self.avg_timing_iterations}, below 1")

    def describe(self) -> str:
        """One line for reports: the options that change a latency."""
        streams = "auto" if self.max_aux_streams is None else str(self.max_aux_streams)
        workspace = "all" if self.workspace_mib is None else f"{self.workspace_mib}MiB"
        cards = f", for {' '.join(self.compute_capability)}" if self.compute_capability else ""
        return (
            f"level {self.optimization_level}, tf32 {'on' if self.tf32 else 'off'}, "
            f"aux streams {streams}, workspace {workspace}{cards}"
        )


@dataclass(frozen=True)
class BuildLog:
    """TensorRT's logger and the warnings and errors it has written last."""

    logger: trt.ILogger
    lines: deque[tuple[str, str]]

    def errors(self) -> str:
        """What was logged as an error, on one line; the warnings where there is no error."""
        errors = [text for severity, text in self.lines if "ERROR" in severity]
        kept = errors or [text for _, text in self.lines]
        return " | ".join(kept[-8:]) or "TensorRT logged nothing"

    def failure(self, what: str) -> CompileError | DeviceError:
        """The error for a call that returned nothing: the graph's fault unless CUDA is named."""
        words = self.errors()
        errors = " ".join(text for severity, text in self.lines if "ERROR" in severity).lower()
        if any(word in errors for word in _DEVICE_WORDS):
            return DeviceError(f"{what}: {words}")
        if _NO_KERNEL in errors:
            words += " (if the node is quantized, leave it unquantized and build again)"
        return CompileError(f"{what}: {words}")


@cache
def build_log() -> BuildLog:
    """The process's one logger: TensorRT keeps the first it is given."""
    used()
    lines: deque[tuple[str, str]] = deque(maxlen=200)
    threshold = int(trt.ILogger.WARNING)

    class CollectingLogger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if int(severity) <= threshold:
                lines.append((severity.name, " ".join(msg.split())))

    return BuildLog(CollectingLogger(), lines)


def build_plan(
    onnx: bytes, options: BuildOptions, *, timing_cache: CacheFile | None, detailed: bool
) -> Plan:
    """Build a serialized engine.

    Args:
        onnx: the file, with its weights inside.
        options: how to build.
        timing_cache: read before and extended after; None where no kernel is timed.
        detailed: keep what the engine inspector needs; such a plan is not for timing, because
            detailed verbosity raises the cost of an enqueue.

    Raises:
        CompileError: the parser or the builder refuses the graph.
        DeviceError: CUDA failed or its memory ran out.
    """
    builder, network = parsed(onnx)
    log, title = build_log(), chosen().title
    config = _config(builder, options, detailed=detailed)
    if timing_cache is not None:
        _attach(config, timing_cache.read())
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise log.failure(f"{title} cannot build the network")
    if timing_cache is not None:
        timing_cache.update(lambda stored: _merged(config, stored))
    return Plan(bytes(plan), network.num_layers)


def parsed(onnx: bytes) -> tuple[trt.Builder, trt.INetworkDefinition]:
    """The file as the library's own network, and the builder that it belongs to.

    Raises:
        CompileError: the parser refuses the graph.
        DeviceError: CUDA failed.
    """
    log, title = build_log(), chosen().title
    log.lines.clear()
    try:
        builder = trt.Builder(log.logger)
    except Exception as error:  # the constructor fails only where CUDA does
        raise DeviceError(f"{title} cannot use the GPU: {error}; {log.errors()}") from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log.logger)
    if not parser.parse(onnx):
        raise CompileError(f"{title} cannot read the graph: {_parser_words(parser, log)}")
    return builder, network


def known_operators(names: Sequence[str]) -> list[str]:
    """Those of these ONNX operators that the parser knows, whatever it asks of their inputs."""
    log = build_log()
    network = trt.Builder(log.logger).create_network(0)
    parser = trt.OnnxParser(network, log.logger)
    return [name for name in names if parser.supports_operator(name)]


def _parser_words(parser: trt.OnnxParser, log: BuildLog) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    described = [
        f"node {error.node()} '{error.node_name()}' ({error.node_operator()}): {error.desc()}"
        for error in errors
    ]
    return " | ".join(described) or log.errors()


def _config(builder: trt.Builder, options: BuildOptions, *, detailed: bool) -> trt.IBuilderConfig:
    config = builder.create_builder_config()
    config.builder_optimization_level = options.optimization_level
    config.avg_timing_iterations = options.avg_timing_iterations
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.max_aux_streams is not None:
        config.max_aux_streams = options.max_aux_streams
    if options.tf32:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)
    verbosity = trt.ProfilingVerbosity
    config.profiling_verbosity = verbosity.DETAILED if detailed else verbosity.LAYER_NAMES_ONLY
    _aim(config, options.compute_capability)
    return config


def _aim(config: Any, cards: Sequence[str]) -> None:
    """Build for these kinds of cards; only TensorRT for RTX has such a setting."""
    if not cards:
        return
    kinds: Any = trt
    config.num_compute_capabilities = len(cards)
    for index, card in enumerate(cards):
        kind = getattr(kinds.ComputeCapability, card.upper())
        if not config.set_compute_capability(kind, index):
            raise build_log().failure(f"{chosen().title} does not build for {card}")


def _attach(config: trt.IBuilderConfig, stored: bytes) -> None:
    """Use the stored measurements; an unusable cache of another device is dropped."""
    cache_object = config.create_timing_cache(stored)
    if cache_object is not None and config.set_timing_cache(cache_object, False):
        return
    fresh = config.create_timing_cache(b"")
    if fresh is None or not config.set_timing_cache(fresh, False):
        raise build_log().failure("TensorRT does not accept an empty timing cache")


def _merged(config: trt.IBuilderConfig, stored: bytes) -> bytes:
    """The measurements of this build together with what other workers wrote meanwhile."""
    used = config.get_timing_cache()
    if used is None:
        return stored
    if stored:
        other = config.create_timing_cache(stored)
        if other is not None:
            used.combine(other, False)  # False means another version: then only ours is kept
    return bytes(used.serialize())
