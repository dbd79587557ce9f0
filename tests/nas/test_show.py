"""`nas show`: the table's sums are the network's, and an estimate is never called a latency."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_benches import FakeIsolated
from finished_studies import receipt, winner
from networks import HEIGHT, NETWORKS, WIDTH
from rich.console import Console

from latency_models.base import PRECISIONS, EngineUnavailable
from latency_models.file_work import work_of_file
from latency_models.roofline import Peaks, roof
from nas.commands.show import main
from nas.evidence import SCREENED
from nas.ledger import Ledger
from nas.measurements.layer_table import folded, layer_costs, print_layers, total_ms
from nas.networks import rules_for
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.work import gmacs, params_of
from tests.idle_macs import idle_macs

Shown = Callable[..., dict[str, Any]]
PEAKS = Peaks("int8", 100.0, 20.0)
SMALL = ["--size", "16x32", "--engine", "openvino"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "freeway" / "peaks.json"


@pytest.fixture
def shown(fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]) -> Shown:
    """Show as JSON and read it back."""

    def run(*arguments: str) -> dict[str, Any]:
        assert main([*arguments, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "int8") for name in NETWORKS if not name.startswith("reference ")),
     ("reference imdn_rtc", "int8"),
     *(("reference ecbsr_m4c16", precision) for precision in PRECISIONS)],
)
def test_the_layers_sums_are_those_of_the_file(name: str, precision: str) -> None:
    graph, rules = NETWORKS[name], rules_for("openvino")
    onnx = untrained(graph, precision=precision, height=HEIGHT, width=WIDTH, rules=rules)
    work = work_of_file(onnx)
    costs = layer_costs(graph, onnx, height=HEIGHT, width=WIDTH, peaks=PEAKS)
    for lines in (costs, folded(graph, costs, PEAKS)):
        assert sum(cost.params for cost in lines) == params_of(graph)
        assert sum(cost.macs for cost in lines) == work.macs - idle_macs(graph, HEIGHT, WIDTH)
        assert sum(cost.macs for cost in lines) == round(1e9 * gmacs(graph, HEIGHT, WIDTH))
        assert sum(cost.bytes_moved for cost in lines) == work.bytes_moved
        assert sum(cost.times for cost in lines) == len(graph.nodes)


def test_one_layer_after_the_other_takes_no_less_than_all_work_at_once() -> None:
    graph = lower(reference("ecbsr_m4c16", 2))
    onnx = untrained(graph, precision="int8", height=32, width=32, rules=rules_for("openvino"))
    costs = layer_costs(graph, onnx, height=32, width=32, peaks=PEAKS)
    least_ms = total_ms(costs)
    assert least_ms is not None and least_ms >= roof(work_of_file(onnx), PEAKS).bound_ms
    assert {c.roof.nearer for c in costs if c.roof and c.bytes_moved} == {"compute", "memory"}
    assert total_ms([replace(cost, roof=None) for cost in costs]) is None


def test_the_table_names_layers_work_and_bound(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ecbsr_m4c16", *SMALL]) == 0
    out = capsys.readouterr().out
    assert re.search(r"t2\s+conv 3x3, prelu\s+x4\s+16 x 16 x 32", out)
    for words in ("MACs/byte", "bound by", "arithmetic", "fixed conv 1x1, nearest, by 2",
                  "at best", "100 GMAC/s", "an estimate, no latency"):
        assert words in out
    assert "latency of" not in out


def test_a_narrow_terminal_gets_fewer_columns_and_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    graph = lower(reference("espcn", 2))
    onnx = untrained(graph, precision="fp32", height=16, width=16)
    costs = layer_costs(graph, onnx, height=16, width=16, peaks=PEAKS)
    print_layers(Console(width=80), costs)
    out = capsys.readouterr().out
    assert "left out for want of room: MACs/byte" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "at best" in out and "tanh" in out


def test_json_has_every_layer_on_its_own_with_its_roof(shown: Shown) -> None:
    found = shown("ecbsr_m4c16", *SMALL)
    graph = lower(reference("ecbsr_m4c16", 2))
    assert [layer["name"] for layer in found["layers"]] == [f"t{i}" for i in range(10)]
    assert found["params"] == params_of(graph) and found["size"] == [16, 32]
    assert found["at_best_ms"] == pytest.approx(sum(y["at_best_ms"] for y in found["layers"]))
    assert found["peaks"]["peaks"]["gmacs_per_s"] == pytest.approx(100.0)
    assert {layer["bound_by"] for layer in found["layers"]} <= {"compute", "memory"}
    assert found["measured"] is None


def test_the_peaks_are_measured_once_and_remembered(
    fake: type[FakeIsolated], shown: Shown, cache: Path
) -> None:
    first = shown("espcn", *SMALL)
    asked = len(fake.asked)
    assert asked and cache.is_file()
    assert shown("fsrcnn", *SMALL)["peaks"] == first["peaks"]
    assert len(fake.asked) == asked
    shown("espcn", *SMALL, "--precision", "fp32")
    assert len(fake.asked) > asked


def test_measured_again_the_better_rates_are_kept(shown: Shown, cache: Path) -> None:
    first = shown("espcn", *SMALL)
    stored = json.loads(cache.read_text())
    for entry in stored.values():
        entry["peaks"] |= {"gmacs_per_s": 1.0, "gbytes_per_s": 1e6}
    cache.write_text(json.dumps(stored))
    assert shown("espcn", *SMALL)["peaks"]["peaks"]["gmacs_per_s"] == 1.0
    again = shown("espcn", *SMALL, "--peaks")["peaks"]["peaks"]
    assert again["gmacs_per_s"] == first["peaks"]["peaks"]["gmacs_per_s"]
    assert again["gbytes_per_s"] == 1e6


def test_without_the_roofline_nothing_is_measured(
    fake: type[FakeIsolated], shown: Shown, cache: Path
) -> None:
    found = shown("espcn", *SMALL, "--no-roofline")
    assert not fake.asked and not cache.exists()
    assert found["at_best_ms"] is None and "at_best_ms" not in found["layers"][1]
    assert found["bytes_moved"] > 0


def test_a_machine_without_an_engine_still_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise EngineUnavailable("nothing is installed here")

    monkeypatch.setattr("nas.commands.show.bench_for", nothing)
    assert main(["espcn", "--size", "16x16"]) == 0
    told = capsys.readouterr()
    assert "no roofline: nothing is installed here" in told.err and "conv 5x5" in told.out
    assert main(["espcn", "--size", "16x16", "--engine", "openvino"]) == 2


def test_it_is_timed_only_when_asked_for(
    fake: type[FakeIsolated], shown: Shown, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown("espcn", *SMALL, "--time")["measured"]["median_ms"] > 0
    assert main(["espcn", *SMALL, "--time"]) == 0
    assert re.search(r"measured .* ms \(ok\): [\d.]+ times that", capsys.readouterr().out)


def test_the_drawing_is_written_beside_the_table(
    fake: type[FakeIsolated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.svg"
    assert main(["espcn", *SMALL, "--no-roofline", "--svg", str(path)]) == 0
    assert ET.parse(path).getroot().tag.endswith("svg")
    assert f"drawing: {path}" in capsys.readouterr().out


def test_a_drawing_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["espcn", "--svg", str(tmp_path / "file" / "net.svg"), "--no-roofline"]) == 2
    assert f"nas: cannot write {tmp_path}/file/net.svg" in capsys.readouterr().err


def test_a_candidate_is_found_by_its_study_and_its_name(shown: Shown, tmp_path: Path) -> None:
    candidate = winner(3, 20.0, 33.0)
    timed = candidate.having(SCREENED, receipt(20.0, input_shape=(1, 3, 32, 48)))
    Ledger(tmp_path / "study").save(timed)
    home = tmp_path / "study" / "candidates" / timed.name
    for spec in (home, home / "case.json", tmp_path / "study" / timed.name):
        found = shown(str(spec), "--no-roofline")
        assert found["network"] == timed.name and found["size"] == [32, 48]
        assert found["params"] == params_of(lower(candidate.architecture))


def test_a_network_has_its_own_size_and_scale(shown: Shown) -> None:
    found = shown("mobilenet_v2", "--no-roofline")
    assert found["size"] == list(REFERENCES["mobilenet_v2"].size)
    assert found["layers"][-1]["output_shape"] == [1000]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([], "which network? Give a published one ("),
        (["espcm"], "'espcm' is no network (did you mean espcn?): "),
        (["espcn", "--scale", "77"], "exists at scale"),
        (["espcn", "--size", "big"], "no size: give HEIGHTxWIDTH"),
        (["espcn", "--precision", "int4"], "int4"),
        (["mobilenet_v2", "--size", "0x0"], "no size"),
        (["esr_max", "--svg", "net.png"], "ends in .svg"),
        (["espcn", "--engine", "tvm"], "unknown engine 'tvm'"),
        (["espcn", "--no-roofline", "--time"], "not allowed with"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    asked: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked) == 2
    told = [y for y in capsys.readouterr().err.splitlines() if "was picked" not in y]
    assert len(told) == 1 and told[0].startswith("nas: ") and words in told[0]


def test_without_a_name_the_published_ones_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    line = capsys.readouterr().err
    assert all(name in line for name in REFERENCES)


def test_a_size_that_does_not_fit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bicubic++", "--size", "15x15", "--engine", "openvino", "--no-roofline"]) == 2
    assert "does not divide by 2: give another --size" in capsys.readouterr().err


def test_a_file_is_sent_to_the_command_that_knows_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(untrained(lower(reference("espcn", 2)), precision="fp32", height=8, width=8))
    assert main([str(path)]) == 2
    assert f"nas bench {path} --layers --roofline" in capsys.readouterr().err


def test_a_damaged_memory_of_peaks_names_the_file(
    fake: type[FakeIsolated], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.parent.mkdir(parents=True)
    for damaged in ("half a fi", "[]"):
        cache.write_text(damaged)
        assert main(["espcn", *SMALL]) == 2
        assert f"{cache} is no file of peaks: move it away" in capsys.readouterr().err


def test_the_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.count("nas show ") > 6 and "an estimate, no latency" in out
