"""The table as something that is asked: measured where there is a measurement, else estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nas.table.base import SCREENING_S, About, Answer, Entry, Trained, first_look, read
from nas.table.models import Fit, Process
from nas.table.surrogate import PRECISIONS, Errors, Surrogate
from search_spaces.base import Architecture
from search_spaces.graph import Graph
from search_spaces.skeletons import lower

_BUSY = 2.0
"""A training that took so many times longer than others of its kind met a busy machine."""


class Table:
    """Answers for any network of any space; the same network is always answered the same."""

    def __init__(self, about: About, entries: Sequence[Entry], *, fit: Fit = Process) -> None:
        """Fit what answers for networks that are not there.

        Args:
            fit: makes the model of one number.

        Raises:
            TableError: too few networks.
        """
        graphs = [lower(entry.architecture) for entry in entries]
        self.about, self.entries = about, tuple(entries)
        self.first_look = first_look(entries)
        self._known = {g.canonical_hash(): e for g, e in zip(graphs, entries, strict=True)}
        self._surrogate = Surrogate(entries, graphs, (about.height, about.width), fit=fit)
        self._answers: dict[str, Answer] = {}

    @classmethod
    def at(cls, path: Path, *, fit: Fit = Process) -> Table:
        """The table in a packed file.

        Raises:
            TableError: there is none, or it holds too little.
        """
        return cls(*read(path), fit=fit)

    @property
    def errors(self) -> tuple[Errors, ...]:
        """How far estimates are off, each measured network left out once."""
        return self._surrogate.errors

    @property
    def processor(self) -> str:
        """What the latencies were measured on."""
        return "; ".join(sorted({e.processor for e in self.entries if e.processor}))

    def known(self, architecture: Architecture) -> Entry | None:
        """The entry of this network, however it is written."""
        return self._known.get(lower(architecture).canonical_hash())

    def answer(self, architecture: Architecture) -> Answer:
        """What is known or estimated of a network.

        Raises:
            InvalidArchitecture: it does not fit the table's input.
        """
        graph = lower(architecture)
        name = graph.canonical_hash()
        if name not in self._answers:
            self._answers[name] = self._answer(graph, self._known.get(name))
        return self._answers[name]

    def _answer(self, graph: Graph, entry: Entry | None) -> Answer:
        latency: Mapping[str, float]
        if entry is not None and entry.quick is not None:
            seconds = self._surrogate.seconds(graph)
            training = entry.quick
            if training.train_s > _BUSY * seconds:
                training = replace(training, train_s=seconds)
            latency, verdict = entry.latency_ms, entry.verdict
        else:
            estimate = self._surrogate.estimate(graph)
            training = Trained(estimate.curve, estimate.curve[-1][1], estimate.train_s)
            latency, verdict = estimate.latency_ms, dict.fromkeys(PRECISIONS, "ok")
            if entry is not None:
                latency, verdict = entry.latency_ms, entry.verdict
        return Answer(
            latency, verdict, training, SCREENING_S,
            latency_estimated=entry is None,
            training_estimated=entry is None or entry.quick is None,
        )  # fmt: skip
