"""No password is printed or written, in addresses as they are read and as they are misspelt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from sqlalchemy.exc import ArgumentError

from nas.assemble import assemble
from nas.commands import measure_worker, search
from nas.folder import plain_settings
from nas.redact import has_password, redacted, redacted_all
from nas.settings import SettingsError
from nas.storage import StorageSettings
from nas.workers.shared_study import prepare

SECRET = "geheim"
ADDRESSES = (
    "postgresql://me:geheim@host:5432/db",
    "postgresql+psycopg2://me:1/geheim@host/db",
    "postgresql://me:1?geheim@host/db",
    "postgresql://me:1:geheim@host/db",
    "postgresql://me:#geheim=&'\"@host/db",
    "postgresql://me:geheim %2F@[::1]:5432/db",
    "postgresql://:geheim@host/db",
    "postgresql://me@host/db?password=geheim",
    "postgresql://me@host/db?sslmode=require&sslpassword=geheim",
    "postgresql://me@host/db?pass%77ord=geheim",
)
MISSPELT = (
    "postgresql:/me:geheim@host/db",
    "postgresql//me:geheim@host/db",
    "postgresql:me:1/geheim@host/db",
    "me:geheim@host:5432/db",
    "//me:geheim@host/db",
    "postgresql://me:geheim#host/db",
    "postgresql://me:geheim@host:54e32/db",
    "postgresql://me:1@geheim@host/db",
    "postgresql://me:1@2/geheim@host/db",
    "postgresql://me/x:geheim@host/db",
    "postgresql://me;geheim@host/db",
    "postgresql://me,geheim@host/db",
    " postgresql://me:geheim@host/db",
    "postgres://me:geheim@host/db",
    "host=db user=me password=geheim",
)


def settings(url: str, folder: Path, *more: str) -> DictConfig:
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("config", overrides=[f"runs_dir={folder}", "storage=postgres", *more])
    config.storage.url = url
    return config


@pytest.mark.parametrize("url", ADDRESSES)
def test_what_is_read_to_connect_is_written_without_its_password(url: str, tmp_path: Path) -> None:
    shown = StorageSettings(url).shown
    assert shown is not None and SECRET not in shown
    assert sqlalchemy.make_url(shown).host == sqlalchemy.make_url(url).host
    written = plain_settings(settings(url, tmp_path))
    assert written["storage"]["url"] == shown
    assert SECRET not in json.dumps(written)


@pytest.mark.parametrize("url", MISSPELT)
def test_an_address_that_is_none_is_refused_unseen_before_anything_is_written(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = settings(url, tmp_path / "runs")
    with pytest.raises(SettingsError) as alone, assemble(config):
        pass
    with pytest.raises(SettingsError) as together:
        prepare(config, launcher="local", notice=print)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEWAY_STORAGE_URL", url)
    assert measure_worker.main(["x2"]) == 2
    said = [str(alone.value), str(together.value), capfd.readouterr().err]
    assert all("storage.url" in words and SECRET not in words for words in said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", [*ADDRESSES[:-1], *MISSPELT[:5]])
def test_a_password_on_the_command_line_is_refused_unseen(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for argument in (f"storage.url={url}", f"++storage.url='{url}'"):
        assert search.main([argument]) == 2
        said = capfd.readouterr()
        assert "there is a password on the command line" in said.err
        assert SECRET not in said.err + said.out


def test_settings_that_are_shown_hold_no_password(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FREEWAY_STORAGE_URL", "postgresql://me:1/geheim@host/db")
    assert search.main(["storage=postgres", "--cfg", "job", "--resolve"]) == 0
    shown = capfd.readouterr().out
    assert "postgresql://me:***@host/db" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "text",
    [
        "storage.url=postgresql://me@host:5432/db",
        "storage.url=postgresql://host:5432/db",
        "storage={url: postgresql://me@host/db}",
        "task.data.train=/photos/a:b@2x",
        "target.max_latency_ms=25",
        "see https://docs.example:443/page",
    ],
)
def test_what_holds_no_password_stays_as_it_is(text: str) -> None:
    assert not has_password(text)
    assert redacted_all({"a": [text, 1, None]}) == {"a": [text, 1, None]}
    assert redacted(redacted(text)) == text


def test_every_sign_that_the_parser_takes_in_a_password_is_left_out() -> None:
    for sign in map(chr, range(32, 127)):
        url = f"postgresql://me:a{sign}{SECRET}@host/db"
        try:
            assert SECRET not in str(StorageSettings(url).shown)
        except (ValueError, ArgumentError) as error:
            assert sign == "@" and SECRET not in str(error)
        assert SECRET not in redacted(f"cannot connect to {url}")
