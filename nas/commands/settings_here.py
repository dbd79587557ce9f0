"""Settings of the user's own: a folder `conf/` where a command is called, laid out as ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

OWN = "conf"


class SettingsHere(SearchPathPlugin):
    """Lets Hydra look into `./conf` too: `conf/task/mine.yaml` is `task=mine`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = Path(OWN).resolve()
        if folder.is_dir():
            search_path.append("here", f"file://{folder}")


def find_settings_here() -> None:
    """From now on look there; ours win where a name is in both."""
    if SettingsHere not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(SettingsHere)


def composed(
    config_name: str, overrides: Sequence[str], *, with_hydra: bool = False
) -> DictConfig:
    """Settings as a command would have them.

    Raises:
        HydraException: an override is none; the message says which.
    """
    find_settings_here()
    with initialize_config_module("conf", version_base="1.3"):
        return compose(config_name, overrides=list(overrides), return_hydra_config=with_hydra)
