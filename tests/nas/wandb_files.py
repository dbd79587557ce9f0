"""Reads the run files that W&B writes offline: LevelDB's log framing around wandb's records.

Format: a header of 7 bytes (":W&B", a magic number, a version), then blocks of 32 KiB of records,
each with a CRC (4 bytes), a length (2) and a type (1): 1 whole, 2 first, 3 middle, 4 last part.
https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK, _HEAD, _IDENTITY = 32768, 7, b":W&B"


@dataclass
class ReadRun:
    """What one run file holds."""

    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    project: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, set[str]] = field(default_factory=dict)
    exit_code: int | None = None
    folder: Path = Path()


def read_runs(folder: Path) -> dict[str, ReadRun]:
    """Every offline run below this folder, by its name."""
    runs = (read_run(path) for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")))
    return {run.name: run for run in runs}


def read_run(path: Path) -> ReadRun:
    """One run file."""
    from wandb.proto import wandb_internal_pb2 as proto

    run = ReadRun(folder=path.parent)
    for data in records(path.read_bytes()):
        record = proto.Record()
        record.ParseFromString(data)
        _take(record, run)
    return run


def _take(record: Any, run: ReadRun) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run.id, run.name = record.run.run_id, record.run.display_name
        run.group, run.job_type = record.run.run_group, record.run.job_type
        run.project = record.run.project
        run.config.update(_values(record.run.config.update))
    elif kind == "config":
        run.config.update(_values(record.config.update))
    elif kind == "history":
        run.history.append(_nested({}, record.history.item))
    elif kind == "summary":
        _nested(run.summary, record.summary.update)
    elif kind == "artifact":
        contents = {entry.path for entry in record.artifact.manifest.contents}
        if record.artifact.type != "run_table":
            run.artifacts[record.artifact.name] = contents
    elif kind == "exit":
        run.exit_code = record.exit.exit_code


def _values(items: Any) -> dict[str, Any]:
    return {
        (item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in items
    }


def _nested(into: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        *parents, last = item.nested_key or [item.key]
        at = into
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = json.loads(item.value_json)
    return into


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file, put together from their parts."""
    assert content[:4] == _IDENTITY
    at, parts = 7, b""
    while at + _HEAD <= len(content):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD:
            at += left
            continue
        _crc, length, kind = struct.unpack_from("<IHB", content, at)
        if kind == 0:
            at += left
            continue
        parts += content[at + _HEAD : at + _HEAD + length]
        at += _HEAD + length
        if kind in (1, 4):
            yield parts
            parts = b""
