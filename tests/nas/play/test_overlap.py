"""Reading ahead and writing behind: in order, bounded, and no error is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from nas.play.overlap import ahead, behind


def test_items_come_in_order_and_no_more_are_taken_than_asked_for() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for k in range(50):
            taken.append(k)
            yield k

    with closing(ahead(items(), depth=3)) as coming:
        assert [next(coming) for _ in range(5)] == list(range(5))
    # Three wait, one is in hand.
    assert 5 <= len(taken) <= 5 + 3 + 1
    assert list(ahead(range(20), depth=2)) == list(range(20))


def test_an_error_while_reading_comes_after_what_was_read() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the end is damaged")

    seen = []
    with pytest.raises(ValueError, match="the end is damaged"):
        for item in ahead(items(), depth=5):
            seen.append(item)
    assert seen == [1, 2]


def test_everything_is_written_before_it_goes_on() -> None:
    written: list[int] = []
    with behind(written.append, depth=2) as hand:
        for k in range(20):
            hand(k)
    assert written == list(range(20))


def test_an_error_while_writing_stops_whoever_hands_over() -> None:
    def write(item: int) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        with behind(write, depth=1) as hand:
            for k in range(1000):
                hand(k)
    with pytest.raises(OSError, match="the disk is full"):
        with behind(write, depth=5) as hand:
            hand(1)


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError):
        with closing(ahead(iter(int, 1), depth=2)) as coming, behind(print, depth=2):
            next(coming)
            raise KeyError
    assert threading.active_count() == before
