"""What the tests of networks share."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small only wait for each other's threads."""
    torch.set_num_threads(1)
