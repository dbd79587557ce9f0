"""A compiled TensorRT network: its plan, what is known about it, and the files it is saved as."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from latency_models.base import Closing, Layer, Plan, Precision, Sample
from latency_models.engines import file_facts, trt_inspect
from latency_models.engines.trt_build import build_plan
from latency_models.engines.trt_cache import driver_version, write_aside
from latency_models.engines.trt_run import PlanRunner

if TYPE_CHECKING:
    from latency_models.engines.trt import TensorRTEngine


class Source:
    """What a compiled model was made from, kept for the detailed build and for the metadata."""

    def __init__(
        self, engine: TensorRTEngine, onnx: bytes, precision: Precision, model: Any
    ) -> None:
        self.engine = engine
        self.onnx = onnx
        self.precision = precision
        float_type = file_facts.float_type(model)
        quantized = {node.output[0] for node in file_facts.quantized_convs(model)}
        self.conv_types = [
            (node.name, "int8" if node.output[0] in quantized else float_type)
            for node in model.graph.node
            if node.op_type == "Conv"
        ]

    def build(self, *, detailed: bool) -> Plan:
        return build_plan(
            self.onnx,
            self.engine.options,
            timing_cache=self.engine.timing_cache(),
            detailed=detailed,
        )


class TensorRTModel(Closing):
    """A built plan on the GPU. A second, detailed plan is built only when layers are asked for.

    Attributes:
        plan: the serialized engine; valid for this TensorRT version, GPU type and system.
        build_s: seconds the build of the plan took.
    """

    def __init__(self, source: Source, plan: bytes, *, build_s: float) -> None:
        self._source = source
        self.plan = plan
        self.build_s = build_s
        engine = source.engine
        self._runner: PlanRunner | None = PlanRunner(
            plan,
            device_index=engine.device_index,
            launch=engine.launch,
            runtime_cache=engine.runtime_cache(),
        )
        self._detailed: PlanRunner | None = None

    def close(self) -> None:
        """Free the GPU memory; nothing can be run afterwards."""
        self._runner = self._detailed = None

    @property
    def engine_bytes(self) -> int:
        """Size of the plan, weights included."""
        return len(self.plan)

    @property
    def peak_memory_mib(self) -> float:
        """Activations and scratch on the GPU, plus the plan."""
        return (self._loaded().memory_bytes() + len(self.plan)) / 2**20

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once on these inputs, in the file's input order; they are cast to its types."""
        return self._loaded().run(inputs)

    def timed_runs(self, count: int) -> list[Sample]:
        """Time `count` runs by events on the GPU, inputs staying there."""
        return self._loaded().timed_runs(count)

    def layers(self, *, timed: bool = False) -> list[Layer]:
        """Fused layers and their types, from a second build with details."""
        runner = self._with_details()
        times = runner.layer_times_ms() if timed else {}
        return trt_inspect.as_layers(trt_inspect.read_layers(runner.inspect()), times)

    def require_precision(self) -> None:
        """Check with the inspector that the convolutions run in the file's types.

        Raises:
            CompileError: they do not.
        """
        source = self._source
        trt_inspect.require_built_precision(
            trt_inspect.read_layers(self._with_details().inspect()),
            source.precision,
            source.conv_types,
        )

    def save(self, path: str | Path) -> None:
        """Write the plan, and beside it `<path>.json` with all that its validity depends on."""
        path = Path(path)
        write_aside(path, self.plan)
        text = json.dumps(self.metadata(), indent=2, sort_keys=True) + "\n"
        write_aside(path.with_name(path.name + ".json"), text.encode())

    def metadata(self) -> Mapping[str, Any]:
        """Where this plan runs and what it was built from."""
        import torch

        engine = self._source.engine
        runner = self._loaded()
        tensors = {**runner.inputs, **runner.outputs}
        major, minor = torch.cuda.get_device_capability(engine.device_index)
        return {
            "engine": engine.name,
            "engine_version": engine.version(),
            "device": engine.device(),
            "compute_capability": f"{major}.{minor}",
            "driver": driver_version(),
            "cuda": torch.version.cuda,
            "precision": self._source.precision,
            "tf32": engine.options.tf32,
            "onnx_sha256": hashlib.sha256(self._source.onnx).hexdigest(),
            "plan_sha256": hashlib.sha256(self.plan).hexdigest(),
            "inputs": list(runner.inputs),
            "outputs": list(runner.outputs),
            "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
            "types": {n: str(t.dtype).removeprefix("torch.") for n, t in tensors.items()},
            "build_s": self.build_s,
        }

    def _loaded(self) -> PlanRunner:
        if self._runner is None:
            raise ValueError("this compiled model is closed")
        return self._runner

    def _with_details(self) -> PlanRunner:
        """The detailed plan, never captured and never used for a latency."""
        self._loaded()
        if self._detailed is None:
            engine = self._source.engine
            self._detailed = PlanRunner(
                self._source.build(detailed=True).data,
                device_index=engine.device_index,
                launch="enqueue",
            )
        return self._detailed
