"""Lets the tests of one folder use the made-up networks and studies of another."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path[:0] = sorted({str(path.parent) for path in _HERE.rglob("*.py")} - {str(_HERE)})


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is decoded and measured here out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_configure() -> None:
    """Answer Ctrl-C also where the tests were started in the background of a script.

    What ignores SIGINT passes that on to all it starts, and searches could not be interrupted.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _keep_stream_of_absl()


def _keep_stream_of_absl() -> None:
    """Keep absl (which TensorBoard imports) from closing the stream that pytest captures.

    Its handler closes its stream when Hydra sets logging up anew, unless that is the real one.
    """
    with suppress(ImportError):
        from absl import logging as absl_logging

        absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__
