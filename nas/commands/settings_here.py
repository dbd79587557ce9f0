"""Settings of the user's own: a folder `conf/` where a command is called, laid out as ours."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from hydra import compose, initialize_config_module
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from nas.settings import SettingsError

OWN = "conf"


class SettingsHere(SearchPathPlugin):
    """Lets Hydra look into `./conf` too: `conf/task/mine.yaml` is `task=mine`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        folder = Path(OWN).resolve()
        if folder.is_dir():
            search_path.append("here", f"file://{folder}")


def find_settings_here() -> None:
    """From now on look there.

    Raises:
        SettingsError: a file there has the name of one of ours, which would be read in its place.
    """
    ours = files(OWN)
    for mine in sorted(Path(OWN).rglob("*.yaml")):
        name = mine.relative_to(OWN).as_posix()
        theirs = ours.joinpath(name)
        # A clone holds ours too.
        if theirs.is_file() and theirs.read_bytes() != mine.read_bytes():
            raise SettingsError(
                f"{mine} has the name of one that comes with Freeway, which is read in its place: "
                "give it another name"
            )
    if SettingsHere not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(SettingsHere)


def composed(
    config_name: str, overrides: Sequence[str], *, with_hydra: bool = False
) -> DictConfig:
    """Settings as a command would have them.

    Raises:
        HydraException: an override is none; the message says which.
        SettingsError: as `find_settings_here`.
    """
    find_settings_here()
    with initialize_config_module("conf", version_base="1.3"):
        return compose(config_name, overrides=list(overrides), return_hydra_config=with_hydra)
