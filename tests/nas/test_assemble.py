"""Settings become collaborators: every choice in conf/ can be built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn import SeededChooser
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from real_search import ROOT, TOY
from smaller import smaller
from toy_search import write_photos

from nas.assemble import assemble
from nas.experiment import Plan
from nas.policies.chosen import policy_of
from nas.settings import SettingsError
from nas.spaces import own_classes
from nas.storage import StorageSettings
from nas.target import Target
from nas.tracking.trackers import TrackingSettings
from nas.workers.roster import Pace
from runtime.signature import OUTPUT
from search_spaces.draws import draw
from search_spaces.references import reference
from search_spaces.skeletons import lower
from trainers.budget import Budget
from trainers.calls import pair
from trainers.tasks.super_resolution import SuperResolution

CHOICES = sorted(
    f"{'+' if path.parent.name == 'experiment' else ''}{path.parent.name}={path.stem}"
    for path in (ROOT / "conf").glob("*/*.yaml")
    if path.parent.name != "hydra"
)


@pytest.fixture(autouse=True)
def conf() -> Iterator[None]:
    with initialize_config_module("conf", version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def settings(*overrides: str) -> DictConfig:
    return compose("config", overrides=list(overrides))


def plain(node: DictConfig) -> dict[str, object]:
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def test_there_is_a_choice_for_every_group() -> None:
    groups = {choice.partition("=")[0] for choice in CHOICES}
    assert groups == {
        "search_space", "task", "target", "budget", "study", "policy", "sampler", "cluster",
        "storage", "tracking", "trainer", "+experiment",
    }


def test_every_study_can_be_given_the_same_settings() -> None:
    quick, thorough = (set(settings(f"study={name}").study) for name in ("quick", "thorough"))
    assert quick == thorough


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_can_be_built(choice: str, photos: Path) -> None:
    if choice.startswith("cluster="):
        pytest.importorskip(
            "hydra_plugins.hydra_submitit_launcher", reason="needs hydra-submitit-launcher"
        )
    config = smaller(settings(*own_classes([choice]), "task.crop=16"))
    rendered = "clips" in config.task.data
    if not rendered:
        config.task.data.train = str(photos)
    space = instantiate(config.search_space, _convert_="all")
    assert lower(space.propose(SeededChooser(0))).nodes
    assert isinstance(instantiate(config.budget), Budget)
    Target(**plain(config.target))  # type: ignore[arg-type]
    Pace(**plain(config.workers))  # type: ignore[arg-type]
    StorageSettings(**plain(config.storage))  # type: ignore[arg-type]
    TrackingSettings(**plain(config.tracking))  # type: ignore[arg-type]
    assert policy_of(config)
    plan = Plan(**plain(config.study))  # type: ignore[arg-type]
    for name in plan.references:
        assert lower(reference(name, config.task.scale)).nodes
    task = instantiate(config.task)
    batch = task.batch(0, seed=0, size=2)
    if rendered:
        assert task.loss({OUTPUT: batch.truth[0]}, batch).isfinite()
        assert space.propose(SeededChooser(0)).signature == task.signature
        return
    low, high = pair(batch)
    assert high.shape[-1] == low.shape[-1] * task.scale
    assert getattr(space, "scale", task.scale) == task.scale
    assert task.loss({OUTPUT: high}, batch).isfinite()


@pytest.mark.parametrize("choice", [c for c in CHOICES if c.startswith("search_space=")])
def test_the_choices_that_a_space_starts_from_are_in_the_space(choice: str) -> None:
    same_size = ["task.scale=1"] if choice == "search_space=encoder_decoder" else []
    space = instantiate(settings(choice, *same_size).search_space, _convert_="all")
    assert space.start
    starts = [(wanted, draw(space, seed=0, wanted=wanted).choices) for wanted in space.start]
    # Some choices stand behind others that are seldom drawn, so the starting points count, too.
    offered = {name for seed in range(60) for name in draw(space, seed=seed).choices}
    offered |= {name for _, choices in starts for name in choices}
    for wanted, choices in starts:
        asked = {name: value for name, value in wanted.items() if name in choices}
        assert asked.items() <= choices.items()
        assert set(wanted) <= offered, "a name that the space never asks for"


def test_the_assembled_experiment_is_what_was_asked_for(tmp_path: Path, photos: Path) -> None:
    config = settings(
        *TOY, f"runs_dir={tmp_path}", f"task.data.train={photos}", "target.engine=openvino"
    )
    with assemble(config) as experiment:
        assert experiment.folder == tmp_path / "toy"
        assert experiment.target.engine == "openvino"
        assert experiment.plan.probe_steps == 6
        assert experiment.space.start  # the yaml's, not the class's empty default
        assert experiment.task.crop == 16
        with pytest.raises(SettingsError, match="another search is working"), assemble(config):
            pass


def test_a_study_that_ended_lets_its_folder_go(tmp_path: Path, photos: Path) -> None:
    config = settings(*TOY, f"runs_dir={tmp_path}", f"task.data.train={photos}")
    for _ in range(2):
        with assemble(config):
            pass


def test_a_plan_may_be_made_longer_and_nothing_else_may_change(
    tmp_path: Path, photos: Path
) -> None:
    begun = [*TOY, f"runs_dir={tmp_path}", f"task.data.train={photos}"]
    with assemble(settings(*begun)):
        pass
    longer = [
        "study.candidates=99", "study.finalists=9", "study.max_minutes=5", "study.patience=50",
        "study.references=[espcn]",
    ]
    with assemble(settings(*begun, *longer)) as experiment:
        assert experiment.plan.candidates == 99
    with pytest.raises(SettingsError, match="search_space.kernels was"):
        with assemble(settings(*begun, "search_space.kernels=[3]")):
            pass


def test_a_studys_policy_may_not_change(tmp_path: Path, photos: Path) -> None:
    begun = [*TOY, f"runs_dir={tmp_path}", f"task.data.train={photos}"]
    with assemble(settings(*begun)):
        pass
    with pytest.raises(SettingsError, match="policy.starts was 12, now 8"):
        with assemble(settings(*begun, "policy.starts=8")):
            pass
    with pytest.raises(SettingsError, match="policy._target_ was"):
        with assemble(settings(*begun, "policy=random")):
            pass


def test_a_studys_sampler_may_not_change(tmp_path: Path, photos: Path) -> None:
    begun = [*TOY, f"runs_dir={tmp_path}", f"task.data.train={photos}", "policy=optuna"]
    with assemble(settings(*begun, "sampler=nsga2")):
        pass
    with pytest.raises(SettingsError, match="sampler.population_size was 16, now 8"):
        with assemble(settings(*begun, "sampler=nsga2", "sampler.population_size=8")):
            pass


SAMPLER = "sampler._target_=optuna.samplers"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["policy.starts=many"], "policy.starts is 'many': use a whole number"),
        (["policy.crossovers=2.0"], "policy.crossovers is 2.0: use 0 to 1"),
        (["+policy.depth=3"], "there is no policy.depth; there are starts, crossovers, grown"),
        (["policy._target_=nowhere.Policy"], "nowhere.Policy, and no such class is found"),
        (["policy._target_=nas.target.Target"], "policy is Target, which has no 'propose'"),
        (["policy=gaussian_process", "policy.drawn=0"], "policy.drawn is 0: it must be at least"),
        (["sampler=nsga2", "sampler.depth=3"], "there is no sampler.depth; there are population"),
        (["sampler.groups=true"], r"no sampler.groups \(did you mean group\?\)"),
        (["sampler=nsga2", "sampler.population_size=1"], "sampler does not do here: .*equal to 2"),
        (["sampler=nsga2", "sampler.population_size=x"], "population_size is 'x': use a whole"),
        (["sampler.seed=3"], "sampler.seed has no effect: study.seed seeds every trial"),
        (["policy=random", "sampler=gp"], "sampler is for policy=optuna, and another policy is"),
        (["policy=optuna", "~sampler"], "policy=optuna needs a sampler: give sampler=tpe"),
        (["policy=optuna", "+policy.sampler.depth=3"], "policy.sampler has no effect beside"),
        ([f"{SAMPLER}.NoSampler"], "optuna.samplers.NoSampler, and no such class is found: give"),
        ([f"{SAMPLER}.CmaEsSampler"], "does not do here: .*multi-objective"),
        ([f"{SAMPLER}.GridSampler"], "missing 1 required .*'search_space'"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_in_one_line(overrides: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        policy_of(settings(*own_classes(overrides)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("planes", "channels"), [("rgb", 3), ("luma", 1), ("ycbcr420", 6)])
@pytest.mark.parametrize("task", ["super_resolution", "denoising"])
def test_space_and_published_networks_follow_the_tasks_planes(
    task: str, planes: str, channels: int
) -> None:
    config = settings(f"task={task}", f"task.planes={planes}")
    space = instantiate(config.search_space, _convert_="all")
    architecture = draw(space, seed=0).architecture
    assert architecture.in_channels == architecture.out_channels == channels
    for name in config.study.references:
        assert reference(name, 2).in_channels == channels
    published = task == "super_resolution" and planes != "ycbcr420"
    assert bool(config.study.references) == published


def test_a_task_whose_metric_is_not_finite_is_refused_before_anything_is_timed(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SuperResolution, "baseline", lambda task: float("inf"))
    with pytest.raises(SettingsError, match="psnr_y of bicubic is inf: a task whose values"):
        with assemble(settings(*TOY, f"runs_dir={tmp_path}", f"task.data.train={photos}")):
            pass
    assert not (tmp_path / "toy" / "settings.json").exists()


def test_a_search_that_is_refused_leaves_no_folder(photos: Path, tmp_path: Path) -> None:
    refused = settings(
        *TOY, f"task.data.train={photos}", f"runs_dir={tmp_path}", "search_space=mobile",
    )
    with pytest.raises(SettingsError), assemble(refused):
        pass
    assert list(tmp_path.iterdir()) == []
