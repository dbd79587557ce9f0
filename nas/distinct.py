"""Names for the rows of a table: networks of one name are told apart by their paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.networks import ARCHITECTURE, CASE, Form, NetworkSource


@dataclass(frozen=True)
class Named:
    """A network under another name."""

    name: str
    inner: NetworkSource

    @property
    def own(self) -> Form:
        """That of the network."""
        return self.inner.own

    def file(self, form: Form, engine: str) -> bytes:
        """That of the network.

        Raises:
            Unsuitable: as the network's own.
        """
        return self.inner.file(form, engine)

    def origin(self, form: Form, engine: str) -> str:
        """That of the network."""
        return self.inner.origin(form, engine)


def distinct(specs: Sequence[str], networks: Sequence[NetworkSource]) -> list[NetworkSource]:
    """The same networks under names that differ: by as much of their paths as that takes.

    Args:
        specs: how each of them was named by the user.
    """
    levels = [0] * len(networks)
    while True:
        names = [_name_at(*each) for each in zip(specs, networks, levels, strict=True)]
        alike = [
            index
            for index, name in enumerate(names)
            if any(n == name and s != specs[index] for n, s in zip(names, specs, strict=True))
        ]
        longer = [i for i in alike if levels[i] < _depth(specs[i])]
        if not longer:
            return [
                network if network.name == name else Named(name, network)
                for network, name in zip(networks, names, strict=True)
            ]
        for index in longer:
            levels[index] += 1


def _depth(spec: str) -> int:
    """How many names there are for what was named so, beside its own; the last is as it stands."""
    return len(_path_of(spec).parts) if Path(spec).expanduser().exists() else 1


def _name_at(spec: str, network: NetworkSource, level: int) -> str:
    if level == 0:
        return network.name
    parts = _path_of(spec).parts
    return spec if level >= _depth(spec) else "/".join(parts[-level - 1:])


def _path_of(spec: str) -> Path:
    """The path that says which network it is: without what every bundle's files are called."""
    path = Path(spec).expanduser().resolve()
    if path.name in (ARCHITECTURE, CASE):
        return path.parent
    return path.with_suffix("") if path.is_file() else path
