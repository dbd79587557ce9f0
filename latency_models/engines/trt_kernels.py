"""The kernels that TensorRT for RTX compiles on the card, kept from one process to the next.

A plan of TensorRT for RTX holds no finished kernels: they are compiled for the card when the plan
is first run. The library takes a stored cache only on the same card, version, driver and system,
and says False otherwise, so that a stale file costs time and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from latency_models.engines.trt_cache import CacheFile

if TYPE_CHECKING:
    import tensorrt as trt


class KeptKernels:
    """One plan's kernels.

    Attributes:
        were_known: the stored cache was accepted.
    """

    def __init__(self, engine: trt.ICudaEngine, file: CacheFile) -> None:
        """Read what is stored; the device that it is for must be current."""
        self._file = file
        self._engine = cast(Any, engine)
        self._config = cast(Any, self._engine).create_runtime_config()
        self._cache = self._config.create_runtime_cache()
        stored = file.read()
        self.were_known = bool(stored) and bool(self._cache.deserialize(stored))
        self._config.set_runtime_cache(self._cache)

    def context(self) -> trt.IExecutionContext | None:
        """An execution context that uses them; None when there is no memory for one."""
        context: trt.IExecutionContext | None
        context = self._engine.create_execution_context(self._config)
        return context

    def keep(self) -> None:
        """Store them, once the plan has run."""
        self._file.update(lambda _: bytes(self._cache.serialize()))
