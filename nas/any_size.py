"""A bundle whose files run at any size: a copy that only says less of its inputs and outputs."""

from __future__ import annotations

import json

from nas.card import CARD
from nas.durable import digest
from nas.ledger import as_json
from nas.networks import MANIFEST
from runtime.manifest import ARCHITECTURE, BadBundle, Manifest
from search_spaces.any_size import any_size
from search_spaces.base import Architecture
from search_spaces.graph import Graph
from search_spaces.skeletons import lower

_SAID = """
## Sizes
Height and width are left open in the files of this copy. The latencies above are of the same files
at the size that is told there; any other size has its own.
"""


def of_any_size(manifest: Manifest) -> dict[str, bytes]:
    """The contents of such a copy by name, its manifest among them.

    Receipts and golden outputs stay: they are of the timed size, and told that size by
    `search_spaces.any_size.of_size` the files are what they were, byte for byte.

    Raises:
        BadBundle: a file was changed, or describes no network.
        HoldsSize: a layer of the network depends on the size.
    """
    graph, contents = graph_of(manifest), {n: manifest.read(n) for n in manifest.hashes}
    for name in [name for name in contents if name.endswith(".onnx")]:
        contents[name] = any_size(contents[name], graph)
    if CARD in contents:
        contents[CARD] += _SAID.encode()
    said = json.loads((manifest.folder / MANIFEST).read_text())
    said |= {name: digest(content) for name, content in contents.items()}
    return contents | {MANIFEST: (as_json(said) + "\n").encode()}


def graph_of(manifest: Manifest) -> Graph:
    """What a bundle's network is made of.

    Raises:
        BadBundle: it describes none.
    """
    described = manifest.json(ARCHITECTURE)
    try:
        return lower(Architecture.from_json(described))
    except (KeyError, TypeError, ValueError) as error:
        raise BadBundle(
            f"{manifest.folder / ARCHITECTURE} describes no network ({error}): export it again"
        ) from error
