"""A candidate's trained network: its weights, its files, and what it makes of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from nas.candidate import Candidate
from nas.evidence import QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.ledger import load_arrays, unpack_scales
from search_spaces.graph import Graph
from search_spaces.onnx_writer import write
from search_spaces.quantize import Placement, QuantRules, Scales, float_rest
from search_spaces.skeletons import lower
from search_spaces.weights import Weights
from trainers.base import Arrays, Run

if TYPE_CHECKING:
    from search_spaces.modules import Network

FLOAT_WEIGHTS = "fp32.npz"
INT8_WEIGHTS = "int8.npz"


def trained_network(candidate: Candidate, experiment: Experiment) -> Network:
    """The network with its trained float weights."""
    from search_spaces.modules import build, load_weights

    network = build(lower(candidate.architecture), seed=experiment.plan.seed)
    load_weights(network, float_arrays(candidate, experiment))
    network.eval()
    return network


def float_arrays(candidate: Candidate, experiment: Experiment) -> dict[str, NDArray[Any]]:
    """The trained weights, held against the evidence that speaks of them.

    Raises:
        Damaged: they are missing, broken or others.
    """
    trained = candidate.get(TRAINED)
    sha256 = trained.weights_sha256 if trained else ""
    path = experiment.ledger.home(candidate.name) / FLOAT_WEIGHTS
    return load_arrays(path, sha256=sha256)


def int8_arrays(candidate: Candidate, experiment: Experiment) -> dict[str, NDArray[Any]]:
    """The quantized weights and scales, held against their evidence as `float_arrays`."""
    quantized = candidate.get(QUANTIZED)
    sha256 = quantized.weights_sha256 if quantized else ""
    path = experiment.ledger.home(candidate.name) / INT8_WEIGHTS
    return load_arrays(path, sha256=sha256)


def shipped_file(
    candidate: Candidate,
    experiment: Experiment,
    precision: str,
    height: int,
    width: int,
    *,
    rules: QuantRules | None = None,
) -> bytes:
    """The trained network as an ONNX file at one precision and input size.

    Args:
        rules: of the engine that will run it; the first target's if None.
    """
    graph, rules = lower(candidate.architecture), rules or experiment.main.rules
    if precision != "int8":
        weights = float_arrays(candidate, experiment)
        return _file(graph, weights, rules, precision, height, width, None)
    arrays = int8_arrays(candidate, experiment)
    weights, placement, scales = unpack_scales(arrays, graph, rules)
    return _file(graph, weights, rules, precision, height, width, (placement, scales))


def _file(
    graph: Graph,
    weights: Weights,
    rules: QuantRules,
    precision: str,
    height: int,
    width: int,
    quantized: tuple[Placement, Scales] | None,
) -> bytes:
    return write(
        graph,
        weights,
        height=height,
        width=width,
        float_type=float_rest(precision, rules),
        quantized=quantized,
        prelu=rules.prelu,
        io=rules.io,
        byte_quantizers=rules.uint8,
    )


def engine_run(candidate: Candidate, experiment: Experiment) -> Run:
    """The trained network as the first target computes it, compiled anew for each size."""
    precision, signature = experiment.target.precision, candidate.architecture.signature

    def run(frames: Sequence[Arrays]) -> Sequence[Arrays]:
        height, width = signature.size(frames[0])
        onnx = shipped_file(candidate, experiment, precision, height, width)
        return experiment.main.runner.run(onnx, precision, frames, signature.carried)

    return run
