"""The help of the verbs that Hydra configures: what people change first, in the yaml's words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path as File
from typing import Any

import yaml

from nas.commands.overrides import unswept
from nas.commands.settings_here import OWN, composed

_FIRST = ("target", "task", "budget", "study", "search_space", "policy", "sampler")
_DERIVED = ("variant", "planes", "budget_defaults", "network", "label", "hydra")
"""What is made from the command line, or only says what follows from other settings."""
_TAKEN = {"prune": ("weights",)}
"""What a verb sets by itself."""
_REPLACED = ("search_space", "policy", "sampler")
"""Groups for which people name classes of their own."""
_INNER = ("_convert_", "_partial_")
_LONGEST = 60
_WIDEST = 99
_COMMENTS_FROM = 46
"""Column at which a comment begins that stands beside its setting."""

Path = tuple[str, ...]


def settings_help(verb: str, config_name: str, arguments: Sequence[str]) -> str:
    """Examples, then every setting as it is typed, with the words of its yaml file.

    Args:
        verb: the command.
        config_name: the file in `conf/` that it starts from.
        arguments: overrides as Hydra reads them; sweeps and flags are passed over.
    """
    from omegaconf import OmegaConf

    plain = [argument for argument in unswept(arguments) if not argument.startswith("-")]
    config = composed(config_name, plain, with_hydra=True)
    choices = {g: o for g, o in config.hydra.runtime.choices.items()
               if "hydra" not in g and "@" not in g}
    groups = {group: option for group, option in choices.items() if option}
    told = _Told()
    told.read((), config_name)
    for group, option in groups.items():
        told.read(tuple(group.split("/")), f"{group}/{option}")
    words = OmegaConf.to_container(config.hydra.help, resolve=True)
    assert isinstance(words, dict)
    return "\n".join([
        f"{words['template'].rstrip()}\n",
        "Settings as they are typed, with the values that they have. Of a group the first name",
        "is the one in use; `budget=thorough` takes another.",
        *_Page(config, groups, told, _TAKEN.get(verb, ())).lines(),
        *(f"\n{g}=<one of {', '.join(_options(g))}>" for g in choices if g not in groups),
        f"\nAll of them as yaml: nas {verb} --cfg job. "
        f"Flags of Hydra, which reads them: nas {verb} --hydra-help",
    ])


@dataclass
class _Told:
    """What the yaml files say of settings beside their values.

    Attributes:
        heads: the first words of a group's file.
        words: comments by setting, and whether they stood above it.
        order: settings as they come in the files.
    """

    heads: dict[Path, str] = field(default_factory=dict)
    words: dict[Path, tuple[list[str], str]] = field(default_factory=dict)
    order: dict[Path, int] = field(default_factory=dict)

    def read(self, package: Path, name: str) -> None:
        """Read a file of `conf/` and what it is made of."""
        every = (folder / f"{name}.yaml" for folder in _folders())
        text = next(file for file in every if file.is_file()).read_text()
        lines = text.splitlines()
        count = next(k for k, line in enumerate(lines) if not line.startswith("#"))
        head = [line.strip("# ") for line in lines[:count]]
        self.heads.setdefault(package, " ".join(w for w in head if not w.startswith("@package")))
        if "@package _global_" in head:
            package = ()
        self._read_mapping(yaml.compose(text), lines, package, package=package, name=name)

    def _read_mapping(
        self, node: Any, lines: list[str], at: Path, *, package: Path, name: str
    ) -> None:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            path = (*at, str(key.value))
            if key.value == "defaults":
                self._read_parts(at, name, value.value, lines)
                continue
            self.order.setdefault(path, len(self.order))
            row = key.start_mark.line
            above = _above(lines, row)
            beside = lines[row][key.end_mark.column :].partition(" #")[2].strip()
            # What stands in one line with its group has the group's words.
            if (above or beside) and (at == package or row > node.start_mark.line):
                self.words.setdefault(path, (above, beside))
            if not isinstance(value, yaml.SequenceNode):
                self._read_mapping(value, lines, path, package=package, name=name)

    def _read_parts(self, package: Path, name: str, parts: Any, lines: list[str]) -> None:
        for part in parts:
            if isinstance(part, yaml.MappingNode):
                key = part.value[0][0]
                group = key.value.rpartition(" ")[2]
                path = tuple(group.strip("/").split("/"))
                path = path if group.startswith("/") else (*package, *path)
                self.words.setdefault(path, (_above(lines, key.start_mark.line), ""))
            elif part.value != "_self_":
                beside = "" if part.value.startswith("/") else "".join(name.rpartition("/")[:2])
                self.read(package, beside + part.value.strip("/").partition("@")[0])


def _above(lines: Sequence[str], row: int) -> list[str]:
    """The comment above a line; none where it is the file's own, which begins it."""
    first = row
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return [line.strip("# ") for line in lines[first:row]] if first else []


@dataclass(frozen=True)
class _Page:
    """The settings of a composed configuration, as lines."""

    config: Any
    groups: Mapping[str, str]
    told: _Told
    taken: Sequence[str] = ()

    def lines(self) -> Iterator[str]:
        """Groups that people change first, then the others, then what belongs to none."""
        names = [name for name in self.config if name not in (*_DERIVED, *self.taken)]
        mine = [n for n in _FIRST if n in self.groups]
        mine += [n for n in self.groups if n in names and n not in mine]
        for name in mine:
            yield from self._group((name,))
        rest = [n for n in names if n not in mine and n != "search_space"]
        yield ""
        for name in rest:
            yield from self._setting((name,))

    def _group(self, path: Path) -> Iterator[str]:
        group = "/".join(path)
        others = [o for o in _options(group) if o != self.groups[group]]
        choices = f"{group}={self.groups[group]}" + (f", or {', '.join(others)}" if others else "")
        yield ""
        yield from textwrap.wrap(choices, _WIDEST, subsequent_indent="    ")
        above, _ = self.told.words.get(path, ([], ""))
        for words in (*above, self.told.heads.get(path, "")):
            yield from _comment(words)
        yield from self._inside(path)

    def _inside(self, path: Path) -> Iterator[str]:
        node = self._node(path)
        groups = [k for k in node if "/".join((*path, k)) in self.groups]
        plain = [k for k in node if k not in groups and k not in _INNER]
        for key in sorted(plain, key=lambda k: self.told.order.get((*path, k), len(plain))):
            if key != "_target_" or path[0] in _REPLACED or path == ("task",):
                yield from self._setting((*path, key))
        for key in groups:
            yield from self._group((*path, key))

    def _setting(self, path: Path) -> Iterator[str]:
        from omegaconf import DictConfig

        above, beside = self.told.words.get(path, ([], ""))
        for words in above:
            yield from _comment(words)
        if isinstance(self._node(path), DictConfig) and self._node(path):
            yield from self._inside(path)
            return
        line = f"  {'.'.join(path)}={self._value(path)}"
        whole = f"{line:<{_COMMENTS_FROM}}# {beside}" if beside else line
        if len(whole) > _WIDEST:
            yield from _comment(beside)
            whole = line
        yield whole

    def _node(self, path: Path) -> Any:
        node = self.config
        for key in path:
            node = node._get_node(key)
        return node

    def _value(self, path: Path) -> str:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            value = OmegaConf.select(self.config, ".".join(path), throw_on_missing=True)
        except OmegaConfBaseException:
            return str(self._node(path)._value())
        return _short(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)


def _comment(words: str) -> list[str]:
    return textwrap.wrap(words, _WIDEST, initial_indent="  # ", subsequent_indent="  # ")


def _options(group: str) -> list[str]:
    folders = [folder / group for folder in _folders() if (folder / group).is_dir()]
    names = {entry.name for folder in folders for entry in folder.iterdir()}
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def _folders() -> list[Traversable]:
    """Where settings come from: ours, then the user's own."""
    return [files("conf"), File(OWN)]


def _short(value: Any) -> str:
    """A value as it is typed; of a long list the first entries and how many there are."""
    if isinstance(value, list):
        told = [_short(one) for one in value]
        text = f"[{','.join(told)}]"
        if len(text) <= _LONGEST:
            return text
        while told and len(",".join(told)) > _LONGEST - 16:
            told.pop()
        return f"[{','.join([*told, '...'])}] ({len(value)} in all)"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(one)}" for key, one in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or "''"
