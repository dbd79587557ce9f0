"""The C++ programs, built once; and a bundle with golden outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from built_cpp import Programs, build
from made_bundles import with_golden, write_bundle


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Built where a test asks for them first."""
    return build(tmp_path_factory.mktemp("cpp"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the present format."""
    return with_golden(write_bundle(tmp_path_factory.mktemp("bundle") / "b"))
