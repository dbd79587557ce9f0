"""The bodies of the stages, on a network that trains in a blink."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from finished_studies import receipt
from toy_search import (
    ScriptedLatency,
    on_rig,
    small_candidate,
    toy_experiment,
    write_photos,
)

import nas.float_layers
import trainers.fit
import trainers.qat
from latency_models.base import CompileError, DeviceError
from nas.bundle import export
from nas.candidate import PUBLISHED, Candidate
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SCREENED, TRAINED
from nas.experiment import Experiment
from nas.float_layers import FloatChoice
from nas.ledger import Ledger, load_arrays, save_arrays
from nas.stages.probe import probe
from nas.stages.quantize import quantize
from nas.stages.screen import screen
from nas.stages.settle import settle
from nas.stages.train import train
from nas.stages.training import drop_checkpoints
from nas.trained import (
    FLOAT_WEIGHTS,
    INT8_WEIGHTS,
    engine_run,
    shipped_file,
    trained_network,
)
from runtime import as_input
from search_spaces.quantize import place
from search_spaces.references import reference
from search_spaces.skeletons import lower
from trainers.base import Diverged, Metric
from trainers.calls import on_pictures, run_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def toy(tmp_path: Path, photos: Path) -> Experiment:
    return toy_experiment(tmp_path, photos)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Any:
    """A candidate that went through training and quantization, with its experiment."""
    here = toy_experiment(tmp_path_factory.mktemp("study"), photos)
    candidate = quantize(train(probe(screen(small_candidate(), here), here), here), here)
    return candidate, here


def files_of(experiment: Experiment, candidate: Candidate) -> set[str]:
    return {path.name for path in experiment.ledger.home(candidate.name).iterdir()}


def test_a_fast_candidate_is_screened_on_its_untrained_int8_file(toy: Experiment) -> None:
    latency = ScriptedLatency(5.0)
    screened = screen(small_candidate(), on_rig(toy, quick=latency))
    assert screened.rejected is None
    assert screened.has(SCREENED)
    assert screened[SCREENED].median_ms == 5.0
    assert latency.asked[0] == ("int8", 10.0)
    model = onnx.load_model_from_string(latency.files[0])
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, 24, 32]
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}


def test_a_slow_candidate_is_rejected_with_its_receipt_and_asked_once(toy: Experiment) -> None:
    latency = ScriptedLatency(12.0)
    slow = screen(small_candidate(), on_rig(toy, quick=latency))
    assert slow.has(SCREENED)
    assert slow.rejected is not None
    assert (slow.rejected.constraint, slow.rejected.value, slow.rejected.limit) == (
        "latency_ms", 12.0, 10.0,
    )
    assert len(latency.asked) == 1


def test_screening_asks_once_however_wide_the_interval_of_a_fast_candidate(
    toy: Experiment,
) -> None:
    latency = ScriptedLatency(receipt(5.0, ci_low_ms=4.0, ci_high_ms=6.0), 5.5)
    candidate = screen(small_candidate(), on_rig(toy, quick=latency))
    assert candidate.has(SCREENED)
    assert candidate[SCREENED].median_ms == 5.0
    assert latency.asked == [("int8", 10.0)]


def test_what_may_be_chosen_is_timed_again_without_a_limit_to_stop_at(toy: Experiment) -> None:
    latency = ScriptedLatency(5.0, 5.4)
    candidate = settle(screen(small_candidate(), on_rig(toy, quick=latency)),
                       on_rig(toy, quick=latency))
    assert latency.asked == [("int8", 10.0), ("int8", None)]
    assert latency.files[0] == latency.files[1]
    assert candidate.latency_ms == 5.4
    assert candidate.has(SCREENED)
    assert candidate[SCREENED].median_ms == 5.0
    assert Candidate.from_json(candidate.to_json()) == candidate


def test_what_proves_too_slow_when_it_is_timed_again_is_rejected(toy: Experiment) -> None:
    latency = ScriptedLatency(9.9, 10.2)
    here = on_rig(toy, quick=latency)
    candidate = settle(screen(small_candidate(), here), here)
    assert candidate.rejected is not None
    assert (candidate.rejected.constraint, candidate.rejected.value) == ("latency_ms", 10.2)


def test_a_graph_that_does_not_compile_is_rejected_with_the_engines_words(
    toy: Experiment,
) -> None:
    refusing = ScriptedLatency(CompileError("no kernel for Conv"))
    candidate = screen(small_candidate(), on_rig(toy, quick=refusing))
    assert not candidate.has(SCREENED)
    assert candidate.rejected is not None
    assert candidate.rejected.constraint == "compiles"
    assert "no kernel for Conv" in candidate.rejected.reason


def test_a_failing_machine_is_not_a_rejection(toy: Experiment) -> None:
    with pytest.raises(DeviceError):
        screen(small_candidate(), on_rig(toy, quick=ScriptedLatency(DeviceError("lost"))))


def test_a_published_network_gets_a_full_receipt_and_is_never_too_slow(toy: Experiment) -> None:
    quick, full = ScriptedLatency(1.0), ScriptedLatency(99.0)
    published = Candidate("espcn", PUBLISHED, reference("espcn", 2))
    screened = screen(published, on_rig(toy, quick=quick, full=full))
    assert screened.has(SCREENED)
    assert screened[SCREENED].median_ms == 99.0
    assert screened.rejected is None
    assert quick.asked == []


def test_an_unsettled_receipt_is_asked_for_again(toy: Experiment) -> None:
    full = ScriptedLatency(receipt(9.0, verdict="unstable"), 8.0)
    published = Candidate("espcn", PUBLISHED, reference("espcn", 2))
    screened = screen(published, on_rig(toy, full=full))
    assert screened.has(SCREENED)
    assert (screened[SCREENED].median_ms, screened[SCREENED].verdict) == (8.0, "ok")
    assert len(full.asked) == 2


def test_probing_takes_the_first_steps_and_keeps_where_training_goes_on(toy: Experiment) -> None:
    probed = probe(small_candidate(), toy)
    assert probed.has(PROBED)
    assert probed[PROBED].steps == toy.plan.probe_steps
    assert np.isfinite(probed[PROBED].metric)
    assert probed[PROBED].metric == np.mean(probed[PROBED].scores)
    assert files_of(toy, probed) == {"training.ckpt"}


def test_a_training_begun_by_a_probe_is_that_without_one_and_repeats_no_step(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(small_candidate(), toy_experiment(tmp_path / "one", photos)).get(TRAINED)
    here = toy_experiment(tmp_path / "other", photos)
    batch, steps = here.task.batch, []

    def counted(step: int, **kwargs: Any) -> Any:
        steps.append(step)
        return batch(step, **kwargs)

    monkeypatch.setattr(here.task, "batch", counted)
    ended = train(probe(small_candidate(), here), here).get(TRAINED)
    assert straight is not None and ended is not None
    assert ended.metric == pytest.approx(straight.metric, abs=1e-4)
    assert steps == list(range(here.budget.max_steps))


def test_checkpoints_go_when_their_evidence_is_saved_or_the_search_is_over(
    toy: Experiment,
) -> None:
    probed = probe(small_candidate(), toy)
    drop_checkpoints(probed, toy)
    assert files_of(toy, probed) == {"training.ckpt"}
    drop_checkpoints(train(probed, toy), toy)
    assert files_of(toy, probed) == {FLOAT_WEIGHTS}
    again = probe(replace(small_candidate(), name="trial-00001"), toy)
    drop_checkpoints(again, toy, over=True)
    assert files_of(toy, again) == set()


def test_training_takes_the_whole_budget_and_keeps_the_weights(toy: Experiment) -> None:
    trained = train(small_candidate(), toy)
    assert trained.has(TRAINED)
    assert trained[TRAINED].steps == toy.budget.max_steps
    assert files_of(toy, trained) == {FLOAT_WEIGHTS, "training.ckpt"}


def test_the_same_seed_trains_to_the_same_metric(tmp_path: Path, photos: Path) -> None:
    reports = [
        train(small_candidate(), toy_experiment(tmp_path / name, photos)).get(TRAINED)
        for name in ("one", "other")
    ]
    assert reports[0] is not None
    assert reports[1] is not None
    assert reports[0].metric == reports[1].metric


def test_a_training_that_was_interrupted_goes_on_to_the_same_metric(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(small_candidate(), toy_experiment(tmp_path / "one", photos))
    here = toy_experiment(tmp_path / "other", photos)
    batch, calls = here.task.batch, itertools.count()

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return batch(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(here.task, "batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(small_candidate(), here)
    resumed = train(small_candidate(), here)
    assert resumed.has(TRAINED)
    assert straight.has(TRAINED)
    assert resumed[TRAINED].metric == pytest.approx(straight[TRAINED].metric, abs=1e-4)


@pytest.mark.parametrize(
    ("stage", "home", "name", "constraint"),
    [
        (probe, trainers.fit, "fit", "trains"),
        (train, trainers.fit, "fit", "trains"),
        (quantize, trainers.qat, "fine_tune", "quantizes"),
    ],
)
def test_a_training_that_breaks_down_is_a_rejection(
    toy: Experiment, monkeypatch: pytest.MonkeyPatch, stage: Any, home: Any, name: str,
    constraint: str,
) -> None:
    def diverge(*_: Any, **__: Any) -> None:
        raise Diverged("the loss is nan at step 3")

    candidate = train(small_candidate(), toy)
    monkeypatch.setattr(home, name, diverge)
    rejected = stage(replace(candidate, rejected=None), toy).rejected
    assert (rejected.constraint, rejected.reason) == (constraint, "the loss is nan at step 3")


def test_quantizing_judges_the_engines_own_output(finished: Any) -> None:
    candidate, here = finished
    metric = np.mean(here.task.scores(engine_run(candidate, here)))
    assert candidate[QUANTIZED].metric == metric
    assert candidate[QUANTIZED].metric_drop == pytest.approx(candidate[TRAINED].metric - metric)
    assert (candidate[QUANTIZED].precision, candidate[QUANTIZED].steps) == ("int8", 4)
    drop_checkpoints(candidate, here)
    assert files_of(here, candidate) == {FLOAT_WEIGHTS, INT8_WEIGHTS}


def most_drop(here: Experiment, most: float) -> Experiment:
    return replace(here, budget=replace(here.budget, quant_max_drop=most))


def test_layers_that_int8_hurts_stay_in_float_where_the_budget_says_so(
    finished: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    candidate, here = finished
    graph = lower(candidate.architecture)
    first = min(place(graph, here.main.rules).layers)
    choice = FloatChoice(frozenset({first}), 0.05, 0.3, enough=True)
    monkeypatch.setattr(nas.float_layers, "choose_float_layers", lambda *a, **kw: choice)
    elsewhere = replace(most_drop(here, 0.1), folder=tmp_path, ledger=Ledger(tmp_path))
    save_arrays(
        elsewhere.ledger.home(candidate.name) / FLOAT_WEIGHTS,
        load_arrays(here.ledger.home(candidate.name) / FLOAT_WEIGHTS),
    )
    judged = quantize(candidate.without(QUANTIZED), elsewhere)
    assert judged.has(QUANTIZED) and judged[QUANTIZED].float_layers == 1
    file = onnx.load_model_from_string(shipped_file(judged, elsewhere, "int8", 24, 32))
    stored = {t.name: t.data_type for t in file.graph.initializer}
    assert stored[f"n{first}.weight"] == onnx.TensorProto.FLOAT
    assert f"n{first}.weight.int8" not in stored
    assert sum(name.endswith(".int8") for name in stored) == len(place(graph).layers) - 1
    shipped = export(judged, elsewhere)
    assert shipped.has(EXPORTED) and shipped[EXPORTED].mean_abs_error["int8"] < 1e-3


def test_a_drop_that_nothing_exceeds_leaves_every_layer_in_int8(finished: Any) -> None:
    candidate, here = finished
    drop_checkpoints(candidate, here)
    judged = quantize(candidate.without(QUANTIZED), most_drop(here, 99.0))
    assert judged.has(QUANTIZED) and judged[QUANTIZED].float_layers == 0


def test_a_network_that_int8_hurts_everywhere_is_refused_with_what_to_do(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, here = finished
    every = place(lower(candidate.architecture), here.main.rules).layers
    choice = FloatChoice(every, 0.0, 3.0, enough=False)
    monkeypatch.setattr(nas.float_layers, "choose_float_layers", lambda *a, **kw: choice)
    refused = quantize(candidate.without(QUANTIZED), most_drop(here, 0.1)).rejected
    assert refused is not None and refused.constraint == "quantizes"
    assert "more than 0.1 dB" in refused.reason and "quant_max_drop" in refused.reason


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_int8_metric_that_is_not_finite_is_a_rejection(
    finished: Any, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    candidate, here = finished
    drop_checkpoints(candidate, here)
    monkeypatch.setattr(here.task, "scores", lambda run: (30.0, value), raising=False)
    judged = quantize(candidate.without(QUANTIZED), here)
    assert not judged.has(QUANTIZED) and judged.rejected is not None
    assert judged.rejected.constraint == "quantizes" and str(value) in judged.rejected.reason


def test_where_less_is_better_a_rise_is_a_drop(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, here = finished
    drop_checkpoints(candidate, here)
    monkeypatch.setattr(here.task, "metric", Metric("loss", "", "min"), raising=False)
    again = quantize(candidate.without(QUANTIZED), here)
    assert again.has(QUANTIZED)
    assert again[QUANTIZED].metric_drop == pytest.approx(
        again[QUANTIZED].metric - candidate[TRAINED].metric
    )


def test_a_float_target_is_judged_without_fine_tuning(finished: Any) -> None:
    candidate, here = finished
    floating = on_rig(here, target=replace(here.target, precision="fp32"))
    judged = quantize(candidate.without(QUANTIZED), floating).get(QUANTIZED)
    assert judged is not None
    assert (judged.precision, judged.steps) == ("fp32", 0)
    assert judged.metric_drop == pytest.approx(0.0, abs=0.01)


def test_the_trained_weights_come_back_from_the_ledger(finished: Any) -> None:
    candidate, here = finished
    example = as_input(here.task.examples()[0].low)
    network = trained_network(candidate, here)
    module = on_pictures(run_of(network, here.task.signature))(example)
    floating = on_rig(here, target=replace(here.target, precision="fp32"))
    engine = on_pictures(engine_run(candidate, floating))(example)
    assert np.abs(module - engine).max() < 1e-5


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_shipped_file_has_the_size_that_was_asked_for(finished: Any, precision: str) -> None:
    candidate, here = finished
    model = onnx.load_model_from_string(shipped_file(candidate, here, precision, 20, 36))
    onnx.checker.check_model(model, full_check=True)
    shape = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, 40, 72]


def test_the_int8_weights_lie_beside_their_scales(finished: Any) -> None:
    candidate, here = finished
    arrays = load_arrays(here.ledger.home(candidate.name) / INT8_WEIGHTS)
    kinds = {key.split(".")[0] for key in arrays}
    assert {"tensor_scale", "weight_scale", "n2"} <= kinds
