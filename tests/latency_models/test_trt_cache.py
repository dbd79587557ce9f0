"""The timing cache survives workers that write at once and workers that die."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from latency_models.engines import trt_cache
from latency_models.engines.trt_cache import CacheFile, write_aside


def test_each_device_and_version_has_its_own_file(tmp_path: Path) -> None:
    key = ("tensorrt", "10.16.1.11", "NVIDIA GeForce RTX 4090", "570.1", "12.8")
    first = CacheFile(tmp_path, key)
    other = CacheFile(tmp_path, ("tensorrt", "11.4.0.106", *key[2:]))
    assert first.path != other.path
    assert first.path.name == "tensorrt-10.16.1.11-NVIDIA_GeForce_RTX_4090-570.1-12.8.timing"


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert CacheFile(tmp_path / "new", ("1",)).read() == b""


def test_workers_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    cache = CacheFile(tmp_path, ("1",))

    def work(mark: bytes) -> None:
        for _ in range(20):
            cache.update(lambda stored: stored + mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(cache.read()) == sorted(b"abc" * 20)


def test_a_failed_update_leaves_the_old_cache_and_no_litter(tmp_path: Path) -> None:
    cache = CacheFile(tmp_path, ("1",))
    cache.update(lambda stored: b"old")

    def fail(stored: bytes) -> bytes:
        raise RuntimeError("the worker dies")

    with pytest.raises(RuntimeError):
        cache.update(fail)
    cache.update(lambda stored: stored + b" and new")
    assert cache.read() == b"old and new"
    assert not list(tmp_path.glob("*.part"))


def test_a_write_that_fails_removes_what_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(trt_cache.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_aside(tmp_path / "plan", b"data")
    assert list(tmp_path.iterdir()) == []
