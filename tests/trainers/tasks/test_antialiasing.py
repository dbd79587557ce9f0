"""Antialiasing: the size stays, and what softens edges or accumulates is better than nothing."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from smaller import RENDERS

from runtime.moving import COLOUR
from runtime.signature import OUTPUT
from trainers.base import DataError
from trainers.tasks.antialiasing import Antialiasing


@cache
def task() -> Antialiasing:
    return Antialiasing(scale=1, data=RENDERS, crop=16, frames=3)


def test_the_size_stays() -> None:
    assert task().signature.outputs[0].shape(24, 24) == (3, 24, 24)
    batch = task().batch(0, seed=0, size=2)
    assert batch.truth[0].shape == batch.inputs[COLOUR].shape


def test_both_rivals_are_better_than_what_came_in() -> None:
    scores = task().scores
    as_it_came = np.mean(scores(lambda frames: [{OUTPUT: frame[COLOUR]} for frame in frames]))
    rivals = {name: np.mean(scores(run)) for name, run in task().rivals().items()}
    assert set(rivals) == {"edge filter", "accumulation"}
    assert rivals["accumulation"] > as_it_came + 0.5
    assert task().baseline() == pytest.approx(rivals["edge filter"])
    assert rivals["edge filter"] > as_it_came


def test_a_network_without_a_memory_sees_each_frame_by_itself() -> None:
    alone = Antialiasing(scale=1, data=RENDERS, crop=16, frames=3, memory="none")
    assert not alone.signature.carried and len(alone.signature.inputs) == 4


def test_another_size_is_refused() -> None:
    with pytest.raises(DataError, match="task.scale is 2: Antialiasing needs 1"):
        Antialiasing(scale=2, data=RENDERS)
