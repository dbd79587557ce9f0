"""Callbacks and a logger that the settings name, in every training and by nobody else's fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from toy_search import small_candidate, toy_experiment, write_photos

from nas.evidence import PROBED, QUANTIZED, TRAINED
from nas.extras import TrainerSettings, extras_for
from nas.folder import require_same_settings
from nas.ledger import SETTINGS, as_json
from nas.pipeline import advance
from nas.settings import SettingsError, check_settings
from nas.trained import FLOAT_WEIGHTS

CSV = {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "$folder",
       "name": "$training"}  # fmt: skip
STOP = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "psnr_y"}
MINE = """
from pytorch_lightning import Callback

class Mine(Callback):
    def on_train_start(self, trainer, pl_module):
        {}["mine"]
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def made(folder: Path, *callbacks: Any, logger: Any = None) -> Any:
    return extras_for(
        TrainerSettings(callbacks, logger), candidate="trial-00000", training="trained",
        folder=folder,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("config", "network"), [("config", ()), ("train", ("network=espcn", "label=espcn"))]
)
def test_the_example_that_comes_along_can_be_made_for_both_commands(
    config: str, network: tuple[str, ...], tmp_path: Path
) -> None:
    with initialize_config_module("conf", version_base="1.3"):
        settings = compose(config, ["trainer=csv", *network])
        check_settings(settings)
    (monitor,) = settings.trainer.callbacks
    extras = made(tmp_path, monitor, logger=settings.trainer.logger)
    assert [type(part).__name__ for part in extras.parts] == ["LearningRateMonitor", "CSVLogger"]
    assert Path(extras.logger.log_dir) == tmp_path / "trained" / "version_0"


def test_every_training_of_a_candidate_has_its_own_and_they_change_nothing(
    tmp_path: Path, photos: Path
) -> None:
    plain = toy_experiment(tmp_path / "plain", photos)
    logged = replace(
        toy_experiment(tmp_path / "logged", photos), extras=TrainerSettings((), CSV)
    )
    logged = replace(logged, budget=replace(logged.budget, judge_every=2))
    expected = advance(small_candidate(), plain, upto=TRAINED)
    candidate = advance(small_candidate(), logged, upto=QUANTIZED)
    assert candidate[PROBED].metric == expected[PROBED].metric
    assert candidate[TRAINED].metric == expected[TRAINED].metric
    assert candidate[TRAINED].weights_sha256 == expected[TRAINED].weights_sha256
    home = logged.ledger.home(candidate.name)
    told = {path.relative_to(home).as_posix() for path in home.rglob("metrics.csv")}
    assert told == {f"{name}/version_{k}/metrics.csv"
                    for name, k in (("trained", 0), ("trained", 1), ("quantized", 0))}
    assert "psnr_y" in (home / "trained/version_1/metrics.csv").read_text()
    assert (home / FLOAT_WEIGHTS).is_file()


def test_a_failure_of_a_users_callback_is_one_line_with_its_place(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_callbacks.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    mine = TrainerSettings(({"_target_": "my_callbacks.Mine"},))
    here = replace(toy_experiment(tmp_path / "study", photos), extras=mine)
    with pytest.raises(SettingsError) as found:
        advance(small_candidate(), here, upto=PROBED)
    assert str(found.value) == (
        "trainer: Mine failed: KeyError: 'mine' (my_callbacks.py, line 6)"
    )


def test_so_is_what_lightning_itself_refuses(tmp_path: Path, photos: Path) -> None:
    bar = {"_target_": "pytorch_lightning.callbacks.TQDMProgressBar"}
    here = replace(toy_experiment(tmp_path, photos), extras=TrainerSettings((bar,)))
    with pytest.raises(SettingsError, match="^trainer: Trainer failed: .*progress_bar"):
        advance(small_candidate(), here, upto=PROBED)


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        ({"_target_": "no.such.Callback"}, "trainer: ModuleNotFoundError: No module named 'no'"),
        ({"_target_": "builtins.dict"}, "trainer.callbacks has builtins.dict, no Callback"),
        ({**STOP, "mode": "sideways"}, "trainer: MisconfigurationException: `mode` can be"),
    ],
)
def test_what_cannot_be_made_is_told(
    tmp_path: Path, callback: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{words}"):
        made(tmp_path, callback)


def test_settings_that_name_no_class_are_refused() -> None:
    with pytest.raises(ValueError, match=r"trainer.callbacks\[1\] names no class: give _target_"):
        TrainerSettings((STOP, {"monitor": "psnr_y"}))
    with pytest.raises(ValueError, match="so write pytorch_lightning.loggers.CSVLogger"):
        TrainerSettings((), {"_target_": "lightning.pytorch.loggers.CSVLogger"})
    with pytest.raises(ValueError, match="trainer.logger names no class"):
        TrainerSettings((), {})


def test_another_logger_goes_on_with_a_study_and_another_callback_does_not(
    tmp_path: Path,
) -> None:
    before = {"study": {"name": "x"}, "trainer": {"callbacks": [STOP], "logger": None}}
    (tmp_path / SETTINGS).write_text(as_json(before))
    require_same_settings(tmp_path, {**before, "trainer": {"callbacks": [STOP], "logger": CSV}})
    with pytest.raises(SettingsError, match="trainer.callbacks was .*EarlyStopping.*now None"):
        require_same_settings(tmp_path, {**before, "trainer": {"callbacks": [], "logger": None}})


def test_a_study_of_before_there_were_any_goes_on(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text(as_json({"study": {"name": "x"}}))
    require_same_settings(
        tmp_path, {"study": {"name": "x"}, "trainer": {"callbacks": [], "logger": None}}
    )
