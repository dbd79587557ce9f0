"""What `nas search --help` and `nas train --help` tell, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from nas.commands import search, train
from nas.commands.settings_help import settings_help

CONF = Path(__file__).parents[2] / "conf"
HIDDEN = ("_target_", "_convert_", "_partial_", "network", "label", "variant", "planes")


def told(*arguments: str, verb: str = "search", config: str = "config") -> str:
    return settings_help(verb, config, list(arguments))


def leaves(node: object, at: str = "") -> set[str]:
    if isinstance(node, dict) and node:
        return {leaf for key, value in node.items() if key not in HIDDEN
                for leaf in leaves(value, f"{at}.{key}" if at else key)}
    return {at}


def test_what_people_change_comes_first() -> None:
    text = told()
    heads = ["target=cpu", "task=super", "  task.data.train=", "task/loss=", "budget=quick",
             "study=quick", "search_space=super", "policy=breeding", "storage=journal",
             "  workers."]
    places = [text.index(f"\n{head}") for head in heads]
    assert places == sorted(places)


def test_what_a_verb_sets_by_itself_is_not_offered() -> None:
    text = told(verb="prune", config="prune")
    assert "  ratio=0.5" in text and "  criterion=l1" in text
    assert "weights=" in told(verb="train", config="train") and "weights=" not in text


@pytest.mark.parametrize(("verb", "config"), [("search", "config"), ("train", "train")])
def test_every_setting_is_there(verb: str, config: str) -> None:
    from omegaconf import OmegaConf

    with initialize_config_module("conf", version_base="1.3"):
        node = OmegaConf.to_container(compose(config), resolve=False)
    assert isinstance(node, dict)
    for name in ("planes", "budget_defaults", "search_space" if verb == "train" else ""):
        node.pop(name, None)
    lines = told(verb=verb, config=config).splitlines()
    typed = {line.strip().partition("=")[0] for line in lines}
    assert leaves(node) <= typed


@pytest.mark.parametrize("words", [
    "# One core of this machine, int8",
    "# `bundled`: photographs that come with",
    "# Files that cannot be decoded are refused by name",
    "# What is minimised: `task/loss=...`",
    "# The default of super-resolution: robust differences",
    "# or one_cycle",
    "# What finalists are chosen for: the whole `front`",
    "# Where candidates are timed: here, or `served`",
])  # fmt: skip
def test_comments_of_the_yaml_are_kept(words: str) -> None:
    assert words in told()


def test_long_lists_are_shortened_and_lines_fit() -> None:
    text = told("search_space=super_resolution_wide")
    assert "search_space.start=[...] (7 in all)" in text
    assert "search_space.ops=[conv,separable,factorized,residual,squeeze,...] (13 in all)" in text
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 190


def test_choices_and_overrides_change_what_is_told() -> None:
    text = told("task=denoising", "budget=thorough", "target.threads=3", "-m", "worker=range(0,2)")
    assert "\ntask=denoising, or " in text and "\n  # Remove the noise" in text
    assert "budget.max_steps=10000" in text and "target.threads=3" in text
    assert "task.planes=rgb                             # or luma, or ycbcr420" in text
    assert "cluster=<one of gpus, local, slurm>" in text
    assert "sampler=<one of gp, nsga2, random, tpe, tpe_multivariate>" in text


def test_a_sampler_is_told_with_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert search.main(["sampler=nsga2", "--help"]) == 0
    text = capsys.readouterr().out
    assert "\nsampler=nsga2, or gp, random, tpe, tpe_multivariate\n  # A genetic" in text
    assert "  sampler.population_size=16                  # networks within" in text
    assert "\npolicy=optuna, or" in text


def test_every_choice_of_every_group_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted(CONF.glob("*/*.yaml")):
        override = f"{path.parent.name}={path.stem}"
        if path.parent.name == "experiment":
            # What an experiment is made of are other groups, which have helps of their own.
            assert search.main([f"+{override}", "--help"]) == 0
            continue
        assert search.main([override, "--help"]) == 0
        assert override in capsys.readouterr().out


def test_a_misspelt_setting_is_told_beside_help_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert search.main(["target.max_latncy_ms=3", "--help"]) == 2
    assert "max_latency_ms" in capsys.readouterr().err
    assert train.main(["-h"]) == 0
    assert "nas train fsrcnn task.scale=3" in capsys.readouterr().out
