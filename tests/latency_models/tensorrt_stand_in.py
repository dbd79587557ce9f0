"""A few names of TensorRT with scripted behaviour: what the build code asks of it, no more.

It shows that the calls come in the right order and that failures are told apart. It says nothing
about TensorRT itself: those tests are marked `tensorrt`.
"""

from __future__ import annotations

import enum
import types
from dataclasses import dataclass, field
from typing import Any


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class Flag(enum.IntEnum):
    STRONGLY_TYPED = 1
    TF32 = 6


class Verbosity(enum.Enum):
    DETAILED = 1
    LAYER_NAMES_ONLY = 2


class Logger:
    Severity = Severity
    WARNING = Severity.WARNING

    def log(self, severity: Severity, msg: str) -> None: ...


@dataclass
class ParserError:
    text: str

    def node(self) -> int:
        return 3

    def node_name(self) -> str:
        return "conv3"

    def node_operator(self) -> str:
        return "Conv"

    def desc(self) -> str:
        return self.text


@dataclass
class Cache:
    data: bytes

    def combine(self, other: Cache, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        self.data += other.data
        return True

    def serialize(self) -> bytes:
        return self.data


@dataclass
class Config:
    script: Script
    flags: set[Any] = field(default_factory=lambda: {Flag.TF32})
    limits: dict[Any, int] = field(default_factory=dict)
    cache: Cache | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.limits[pool] = size

    def create_timing_cache(self, data: bytes) -> Cache:
        return Cache(bytes(data))

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        if cache.data.startswith(b"foreign"):
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Cache | None:
        return self.cache


@dataclass
class Script:
    """What the stand-in does and what it was asked."""

    parse_error: str | None = None
    build_log: list[tuple[Severity, str]] = field(default_factory=list)
    builds: bool = True
    starts: bool = True
    network_flags: list[int] = field(default_factory=list)
    configs: list[Config] = field(default_factory=list)


def module(script: Script) -> types.ModuleType:
    """The stand-in for `import tensorrt`."""

    class Builder:
        def __init__(self, logger: Logger) -> None:
            self.logger = logger
            if not script.starts:
                logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("factory function returned nullptr")

        def create_network(self, flags: int) -> object:
            script.network_flags.append(flags)
            return types.SimpleNamespace(num_layers=7)

        def create_builder_config(self) -> Config:
            script.configs.append(Config(script))
            return script.configs[-1]

        def build_serialized_network(self, network: object, config: Config) -> bytes | None:
            for severity, text in script.build_log:
                self.logger.log(severity, text)
            if config.cache is not None:
                config.cache.data += b"measured;"
            return b"plan" if script.builds else None

    class OnnxParser:
        def __init__(self, network: object, logger: Logger) -> None:
            self.num_errors = 0 if script.parse_error is None else 1

        def parse(self, data: bytes) -> bool:
            return self.num_errors == 0

        def get_error(self, index: int) -> ParserError:
            return ParserError(script.parse_error or "")

    fake = types.ModuleType("tensorrt")
    names: dict[str, Any] = {
        "__version__": "10.3.0",
        "ILogger": Logger,
        "Builder": Builder,
        "OnnxParser": OnnxParser,
        "NetworkDefinitionCreationFlag": Flag,
        "BuilderFlag": Flag,
        "ProfilingVerbosity": Verbosity,
        "MemoryPoolType": types.SimpleNamespace(WORKSPACE="workspace"),
    }
    for name, value in names.items():
        setattr(fake, name, value)
    return fake
