"""An engine of one's own, in one file: ONNX Runtime, said to take half the time."""

from dataclasses import replace

from latency_models.engines.ort import OnnxRuntimeEngine
from search_spaces.quantize import ONNXRUNTIME_RULES


class Halved:
    """What compiles, runs and times; `rules` says where it wants quantizers."""

    name = "halved"
    rules = ONNXRUNTIME_RULES

    def __init__(self, threads: int = 1) -> None:
        self._inner = OnnxRuntimeEngine(threads=threads)
        self.threads = threads

    def available(self):
        return self._inner.available()

    def version(self):
        return self._inner.version()

    def device(self):
        return self._inner.device()

    def compile(self, onnx, precision):
        return HalvedModel(self._inner.compile(onnx, precision))


class HalvedModel:
    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def __enter__(self):
        self._inner.__enter__()
        return self

    def __exit__(self, *error):
        self._inner.__exit__(*error)

    def timed_runs(self, count):
        samples = self._inner.timed_runs(count)
        return [replace(s, wall_ms=s.wall_ms / 2, cpu_ms=s.cpu_ms / 2) for s in samples]
