"""What people type after `nas search`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from real_search import nas

from nas.commands import search
from nas.commands.overrides import (
    in_turn,
    plain,
    quoted,
    readable,
    unknown_name,
    unread_addition,
    unswept,
    variant_of,
)

# A process that lives on would keep Hydra's log file open.
QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")
PATHS = [
    "/photos", "/my photos", "/a=b", "/p(1)", "/it's", "/#1", "/[x]", "/{y}", "/a,b", "/фото",
    "/写真", "/a\\b", "/a\\'b", "/ends\\", "./here", "../there", "/a:b", "/$HOME", "/100%",
]


def parsed(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("path", PATHS)
def test_a_path_reaches_hydra_as_it_was_typed(path: str) -> None:
    (argument,) = readable([f"task.data.train={path}"])
    assert parsed(argument) == path


@pytest.mark.parametrize("text", ["it's", "a\\", "\\'", "x\\\\'y", "", "${a}"])
def test_any_text_can_be_quoted(text: str) -> None:
    assert parsed(f"x={quoted(text)}") == text


def test_the_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/some one")
    (argument,) = readable(["task.data.train=~/photos"])
    assert parsed(argument) == "/home/some one/photos"


@pytest.mark.parametrize(
    "argument",
    ["target.max_latency_ms=50,20", "-m", "worker='range(0,2)'", "task=denoising", "--cfg",
     "study.references=[a,b]", "~policy", "policy.starts=12"],
)
def test_what_is_no_path_is_left_alone(argument: str) -> None:
    assert readable([argument]) == [argument]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("max_latency_ms", "target.max_latency_ms"), ("target.max_latency", "target.max_latency_ms"),
     ("study.candidate", "study.candidates"), ("budget.steps", "budget.max_steps"),
     ("seed", "study.seed")],
)
def test_a_misspelt_setting_is_told_with_what_was_meant(typed: str, meant: str) -> None:
    told = unknown_name(f"Could not override '{typed}'.", "config")
    assert told.startswith(f"there is no setting '{typed}': did you mean ")
    assert meant in told


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("study.name=20261127", "20261127"), ("study.name=1e5", "1e5"), ("study.name=true", "true"),
     ("runs_dir=2026", "2026"), ("task.data.train=1e3", "1e3"), ("tracking.project=7", "7"),
     ("study.table=null", None), ("task.data.val=null", None), ("study.seed=3", 3)],
)
def test_a_name_stays_one_whatever_it_looks_like(typed: str, kept: object) -> None:
    (argument,) = readable([typed])
    assert parsed(argument) == kept


@pytest.mark.parametrize("verb", ["config", "train"])
@pytest.mark.parametrize(
    "added", ["+experiment=typo", "++experiment=typo", "+experiment.name=typo", "+target@x=cpu"]
)
def test_an_addition_that_nobody_reads_is_refused(added: str, verb: str) -> None:
    config = {"experiment": "typo", "x": {}, "study": {}}
    assert "there is no setting" in unread_addition([added], config, verb)


def test_an_addition_is_told_what_was_probably_meant() -> None:
    told = unread_addition(["+max_latency_ms=25"], {"max_latency_ms": 25}, "config")
    assert "did you mean target.max_latency_ms?" in told


def test_an_addition_that_has_a_place_is_fine() -> None:
    fine = ["++sampler.n_startup_trials=16", "study.seed=1", "-m", "+experiment=mine"]
    # A group of the user's that changes settings leaves nothing of its own name.
    assert unread_addition(fine, {"sampler": {}, "study": {}}, "config") == ""


@pytest.mark.parametrize(
    ("typed", "runs"),
    [
        (["study.seed=1", "-m"], [["study.seed=1"]]),
        (["-m", "target.max_latency_ms=50,20", "a=1"],
         [["target.max_latency_ms=50", "a=1"], ["target.max_latency_ms=20", "a=1"]]),
        (["-m", "worker=range(0,2)", "a=1,2"],
         [["worker=range(0,2)", "a=1", "-m"], ["worker=range(0,2)", "a=2", "-m"]]),
        (["-m", "a=range(1,3)", "b=[1,2]", "b2='1,2'"],
         [["a=1", "b=[1,2]", "b2='1,2'"], ["a=2", "b=[1,2]", "b2='1,2'"]]),
        (["--multirun", "--config-dir=here", "a=x,y"],
         [["--config-dir=here", "a=x"], ["--config-dir=here", "a=y"]]),
    ],
)
def test_every_setting_but_the_worker_stands_for_a_study_of_its_own(
    typed: list[str], runs: list[list[str]]
) -> None:
    said = [["-m" if argument == "--multirun" else argument for argument in run]
            for run in in_turn(typed)]
    assert said == runs


@pytest.mark.parametrize(
    ("typed", "words"),
    [(["a=glob(*)"], "give the values themselves"), (["cluster=local"], "how many workers")],
)
def test_what_stands_for_no_number_of_studies_is_refused(typed: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        in_turn(["-m", *typed])


def test_a_list_of_choices_is_told_whole() -> None:
    options = "".join(f"\t{name}\n" for name in ("none", "tensorboard", "wandb", "w4", "w5"))
    error = Exception(
        f"In 'config': Could not find 'tracking/wnadb'\n\nAvailable options in 'tracking':\n"
        f"{options}Config search path:\n\tprovider=main, path=pkg://conf"
    )
    told = plain(error, "search", "config")
    assert told.startswith("there is no tracking=wnadb (did you mean wandb?); there are none, ")
    assert "w4, w5 (nas search --cfg job" in told


def test_the_command_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for argument in ("max_latency_ms=25", "+max_latency_ms=25"):
        assert search.main([argument, *QUIET, "runs_dir=/nowhere/at/all"]) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert len(errors.splitlines()) == 1
        assert "did you mean target.max_latency_ms?" in errors


@pytest.mark.parametrize(
    ("typed", "variant"),
    [
        ([], ""),
        (["target.max_latency_ms=25", "runs_dir=/x", "study.candidates=9", "--cfg", "-m"], ""),
        (["study=thorough", "tracking=wandb", "tracking.project=p", "cluster=local"], ""),
        (["task.data.train=/home/me/photos"], "-photos"),
        (["task.planes=luma", "task/loss=structural"], "-luma-structural"),
        (["task/loss=structural", "task.planes=luma"], "-luma-structural"),
        (["search_space._target_=my_space.MySpace", "search_space.depth=4"], "-MySpace-depth-4"),
        (["study.seed=2", "policy=gaussian_process"], "-gaussian_process-seed-2"),
        (["sampler=nsga2", "sampler.population_size=16"], "-nsga2-population_size-16"),
        (["task.data.train='/my photos/at sea'"], "-at-sea"),
        (["teacher=runs/train/espcn-x2", "task/loss=l1"], "-l1-teacher-espcn-x2"),
    ],
)
def test_a_search_is_called_by_what_is_not_the_default(typed: list[str], variant: str) -> None:
    assert variant_of(typed) == variant


def test_what_the_jobs_of_a_sweep_have_in_common_is_kept() -> None:
    swept = ["-m", "worker=range(0,4)", "study.seed=1,2"]
    assert unswept([*swept, "cluster=local", "~policy", "--cfg", "job"]) == [
        "cluster=local", "~policy", "--cfg", "job",
    ]


def test_a_long_variant_is_cut_and_still_tells_two_apart() -> None:
    one, other = (
        variant_of([f"budget.field_number_{k}={k}" for k in range(12)] + [f"budget.last={last}"])
        for last in (1, 2)
    )
    assert one != other
    assert max(len(one), len(other)) < 75


def test_settings_of_ones_own_are_found_and_may_not_hide_behind_ours(tmp_path: Path) -> None:
    own = tmp_path / "conf" / "target"
    own.mkdir(parents=True)
    (own / "kitchen.yaml").write_text("engine: onnxruntime\nheight: 90\nwidth: 160\n")
    code, output, errors = nas("search", "target=kitchen", "--cfg", "job", folder=tmp_path)
    assert (code, errors) == (0, "")
    assert "engine: onnxruntime" in output
    (own / "cpu.yaml").write_text("engine: onnxruntime\n")
    code, _, errors = nas("search", "--cfg", "job", folder=tmp_path)
    assert (code, errors) == (
        2, "nas: conf/target/cpu.yaml has the name of one that comes with Freeway, which is read "
        "in its place: give it another name\n"
    )
