"""What a search was worth, from the order and the origin of its proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from finished_studies import (
    PSNR,
    finished_study,
    judged_study,
    long_study,
    on_pictures,
    probed,
    proposal,
    receipt,
    too_slow,
    trained,
    winner,
)

from nas.candidate import Candidate, Origin
from nas.confidence import Scored
from nas.evidence import TRAINED
from nas.report.worth import FEWEST_OF_A_KIND, Worth, worth_of
from nas.report.worth_words import terms, worth_lines


def worth(candidates: Sequence[Candidate]) -> Worth:
    return worth_of(candidates, PSNR, 50.0)


def told(candidates: Sequence[Candidate]) -> str:
    return " ".join(worth_lines(worth(candidates), PSNR))


def rising(count: int = 30, *, until: int = 30) -> list[Candidate]:
    """Each proposal is 0.1 dB better than the one before, and from `until` on worse."""
    return [
        on_pictures(probed(k, 20.0, 31.0 + 0.1 * min(k, until) - (1.0 if k > until else 0.0)))
        for k in range(count)
    ]


def test_old_case_files_do_not_say_where_proposals_came_from() -> None:
    found = worth(finished_study())
    assert (found.unguided, found.descent, found.guidance, found.in_full) == (None,) * 4
    assert "was not kept when this study was made" in told(finished_study())
    assert found.rise is not None


def test_nothing_is_said_of_nothing() -> None:
    assert worth_lines(worth([]), PSNR) == []
    assert "4 proposals are too few to tell whether more would find better" in told(rising(4))


def test_winners_are_held_against_the_starting_points_of_the_space() -> None:
    def came(number: int, origin: str, ms: float, db: float, **choices: int) -> Candidate:
        made = Origin("proposed", origin)
        return replace(winner(number, ms, db), origin=made, parameters=choices)

    study = [
        came(1, "start", 10.0, 32.0, width=16, repeat=2),
        came(2, "mutation of trial-1", 20.0, 32.5, width=24, repeat=2),
        came(3, "mutation of trial-1", 30.0, 33.0, width=16, repeat=3, kernel_2=5),
        came(4, "random", 40.0, 33.5, width=48, repeat=5),
        came(5, "crossover of trial-1 and trial-4", 41.0, 33.0, width=16, repeat=5),
    ]
    descent = worth(study).descent
    assert descent is not None
    assert (descent.winners, descent.starts, descent.near) == (4, 1, 2)
    assert dict(descent.origins) == {"mutation": 2, "start": 1, "random": 1}
    words = told(study)
    assert "Of 4 winners 1 is a starting point of the space and 2 are one change away" in words


def test_guided_proposals_that_are_better_are_called_so() -> None:
    found = worth(long_study(guided_gain=0.3)).guidance
    assert found is not None
    assert (found.unguided, found.guided, found.count) == (12, 48, 12)
    assert found.lift > 0.1 and found.chance < 0.05
    assert found.guided_best > found.unguided_best
    assert "better, beyond chance" in told(long_study(guided_gain=0.3))


def test_guided_proposals_that_are_no_better_are_within_chance() -> None:
    found = worth(long_study(guided_gain=0.0)).guidance
    assert found is not None and found.chance > 0.05
    assert "within chance" in told(long_study(guided_gain=0.0))


def test_what_chance_gives_is_called_beyond_it_in_one_search_of_twenty() -> None:
    sure = 0
    for seed in range(100):
        random = Random(seed)
        study = [
            replace(
                probed(k, random.uniform(10, 48), random.gauss(31.0, 0.2)),
                origin=Origin("proposed", "random" if k < 10 else "mutation of trial-1"),
            )
            for k in range(30)
        ]
        found = worth(study).guidance
        assert found is not None
        sure += found.chance <= 0.05
    assert 1 <= sure <= 11


def test_too_few_of_a_kind_tell_nothing_of_guidance() -> None:
    study = long_study(40, starts=FEWEST_OF_A_KIND - 1)
    assert worth(study).guidance is None
    assert "33 guided proposals and 7 unguided ones are too few to tell" in told(study)


def test_a_search_that_was_not_guided_says_so() -> None:
    study = [replace(c, origin=Origin("proposed", "random")) for c in long_study()]
    assert "the search was not guided" in told(study)


def test_those_trained_in_full_are_compared_with_the_unguided_among_them() -> None:
    study = long_study(guided_gain=0.0)
    found = worth(study).in_full
    assert found is not None and found.best is not None and found.best.low is not None
    assert (found.finalists, found.unguided) == (8, 2)
    assert found.best.mean == pytest.approx(0.44, abs=0.01) and found.lift > 0
    assert "Trained in full, the best of 8 is 0.44 dB better than the best of the 2" in told(study)
    all_random = worth([replace(c, origin=Origin("proposed", "random")) for c in study]).in_full
    assert all_random is not None and (all_random.best, all_random.lift) == (None, 0.0)


def test_a_search_that_still_rises_at_its_end_is_worth_going_on_with() -> None:
    found = worth(rising()).rise
    assert found is not None
    assert (found.since, found.best_at, found.newest_at) == (21, 30, 30)
    assert found.best is not None and found.best.mean == pytest.approx(1.0)
    assert found.lift == pytest.approx(1.0)
    words = told(rising())
    assert "came as proposal 30 of 30, 1.00 dB better than the best of the first 20" in words
    assert "more proposals (study.candidates) may well find better; 45 would" in words


def test_a_search_that_found_nothing_new_is_not_worth_going_on_with() -> None:
    found = worth(rising(until=5)).rise
    assert found is not None and (found.best_at, found.best, found.lift) == (6, None, 0.0)
    words = told(rising(until=5))
    assert "Nothing better within 50.0 ms came in the last 24 of 30 proposals" in words
    assert "the last third did not raise the front. More proposals would likely bring" in words


def test_a_later_best_that_is_level_with_the_one_before_is_no_rise() -> None:
    study = rising(until=5)
    study[28] = on_pictures(probed(28, 20.0, 31.501))
    words = told(study)
    assert "proposal 29 of 30, level with the best of the first 20" in words
    assert "may well find better" not in words


def test_a_longer_training_is_proposed_by_what_training_brought() -> None:
    study = rising(until=5)
    full = study[5].having(TRAINED, trained(32.7, 960))
    found = worth([*study[:5], full, *study[6:]]).training
    assert found is not None
    assert (found.gained, found.doublings) == (pytest.approx(1.2), pytest.approx(3.0))
    words = told([*study[:5], full, *study[6:]])
    assert "(budget.max_steps) is likely worth more: each doubling of the training" in words
    assert "brought 0.40 dB" in words


def test_proposals_are_compared_by_a_forecast_where_one_is_given() -> None:
    forecast = {f"trial-{k}": 40.0 - k for k in range(30)}
    found = worth_of(
        rising(), PSNR, 50.0, judge=lambda c: Scored(forecast[c.name]), by="the forecast"
    )
    assert found.rise is not None and found.rise.best_at == 1
    assert found.course[0].metric == 40.0
    assert "compared by the forecast" in terms(found)


def test_the_course_has_a_place_for_those_that_were_refused() -> None:
    found = worth([probed(1, 10.0, 31.0), too_slow(2, 60.0), proposal(3, screened=receipt(9.0))])
    assert [p.metric for p in found.course] == [31.0, None, None]
    assert worth(judged_study()).proposals == 28
