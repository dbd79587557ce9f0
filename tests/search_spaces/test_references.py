"""Published networks have the published size, and are found by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.base import Architecture, InvalidArchitecture, UnknownName
from search_spaces.graph import Graph, shapes_of
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.references import (
    ALIASES,
    REFERENCES,
    Printed,
    fitting_reference,
    reference,
    reference_named,
)
from search_spaces.skeletons import lower
from search_spaces.work import gmacs, params_of, work_of

NAMED_IN_PAPERS = """
    srcnn espcn fsrcnn fsrcnn_s vdsr xlsr abpn abpn_m4c28 abpn_m6c40 ecbsr_m4c8 ecbsr_m4c16
    ecbsr_m4c32 ecbsr_m6c40 sesr_m3 sesr_m5 sesr_m11 sesr_xl quicksrnet_small quicksrnet_medium
    quicksrnet_large bicubic++ esr_max esr_tm esr_tr esr_cnn etds_t etds_s etds_m etds_l imdn_rtc
    plainusr_u plainusr_s rlfn_s span span_c28 compact_16 dncnn ffdnet
    oidn_unet mobilenet_v1 mobilenet_v2
""".split()
WITHOUT_PRINTED_SIZE = {
    "esr_max", "esr_tm", "esr_tr", "esr_cnn", "dncnn_rgb", "compact_16",
}
SIZES = [
    pytest.param(name, printed, id=f"{name} x{printed.scale}")
    for name, entry in REFERENCES.items()
    for printed in entry.printed
]
# Counted by hand from the layers as the papers give them.
COUNTED = {
    ("espcn", 2): 26_796,
    ("fsrcnn", 2): 24_683,
    ("ecbsr_m4c16", 2): 11_548,
    ("xlsr", 3): 21_947,
    ("imdn_rtc", 2): 20_190,
    ("span_c28", 4): 784 + 6 * 3 * 7_084 + 3_164 + 7_084 + 12_144,
    ("compact_16", 4): 1_792 + 16 * 36_928 + 27_696 + 17 * 64,
    ("ffdnet", 1): 485_316,
    ("ffdnet_rgb", 1): 852_108,
    ("dncnn_rgb", 1): 668_227,
    ("esr_max", 2): 5 * 5 * 2 * 4,
    ("esr_tm", 2): 7 * 7 * 4 * 4,
    ("esr_tr", 2): 7 * 7 * 6 * 4,
    ("esr_cnn", 2): (25 * 3 + 3) + (27 * 6 + 6) + 54 * 16,
    ("mobilenet_v1", 1): 4_231_976 - 10_944,
    ("mobilenet_v2", 1): 3_504_872 - 17_056,
}
# Ids of studies that were made before there were more than three of them.
KEPT_IDS = {"espcn": "da36627f38ac", "fsrcnn": "e6366d20d0e8", "ecbsr_m4c16": "9ad57f0f29e5"}


def as_printed(value: float, printed: str) -> str:
    """A count, or billions of multiply-adds, with the digits and the unit of a printed one."""
    unit = printed[-1] if printed[-1] in "KM" else ""
    digits = printed.rstrip("KM").partition(".")[2]
    return f"{value / {'K': 1e3, 'M': 1e6, '': 1}[unit]:.{len(digits)}f}{unit}"


def biases_and_slopes(graph: Graph) -> int:
    """Learned numbers that belong to no kernel."""
    layers = [n for n in graph.nodes if isinstance(n, Conv | ConvTranspose)]
    learned = [n for n in layers if not getattr(n, "fixed", "")]
    return sum(n.out_channels * (n.bias + (n.activation == "prelu")) for n in learned)


def fixed_gmacs(graph: Graph, size: tuple[int, int]) -> float:
    """Work of the layers that are not learned, in billions."""
    work = work_of(graph, *size)
    fixed = [getattr(node, "fixed", "") for node in graph.nodes]
    return sum(w.macs for w, name in zip(work, fixed, strict=True) if name) / 1e9


@pytest.mark.parametrize(("name", "printed"), SIZES)
def test_a_reference_has_the_parameters_of_its_source(name: str, printed: Printed) -> None:
    params = params_of(lower(reference(name, printed.scale))) - printed.params_left_out
    if printed.params == "0.55M":  # 555,137 cut short, not rounded.
        params -= 5_000
    assert not printed.params or as_printed(params, printed.params) == printed.params


@pytest.mark.parametrize(("name", "printed"), SIZES)
def test_a_reference_has_the_work_of_its_source(name: str, printed: Printed) -> None:
    counted = gmacs(lower(reference(name, printed.scale)), *printed.size)
    assert as_printed(counted - printed.gmacs_left_out, printed.gmacs) == printed.gmacs


@pytest.mark.parametrize(("name", "printed"), SIZES)
def test_what_a_source_leaves_out_is_what_is_fixed_or_no_kernel(
    name: str, printed: Printed
) -> None:
    entry, graph = REFERENCES[name], lower(reference(name, printed.scale))
    if printed.params_left_out > 0:
        assert printed.params_left_out == biases_and_slopes(graph)
        assert "biases and slopes" in entry.note
    if printed.gmacs_left_out > 0:
        fixed = fixed_gmacs(graph, printed.size)
        assert printed.gmacs_left_out == pytest.approx(fixed, abs=5e-5)
        assert "fixed base" in entry.note


def test_the_page_on_published_networks_has_all_of_them() -> None:
    page = (Path(__file__).parents[2] / "docs" / "published.md").read_text()
    assert [name for name in REFERENCES if f"| `{name}` |" not in page] == []


def test_only_these_have_no_printed_size() -> None:
    assert {name for name, e in REFERENCES.items() if not e.printed} == WITHOUT_PRINTED_SIZE


@pytest.mark.parametrize(("name", "scale"), COUNTED)
def test_a_reference_has_as_many_parameters_as_its_layers(name: str, scale: int) -> None:
    assert params_of(lower(reference(name, scale))) == COUNTED[name, scale]


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_exists_at_each_of_its_scales(name: str) -> None:
    entry = REFERENCES[name]
    for scale in (2, 3, 4) if len(entry.scales) > 1 else entry.scales:
        architecture = reference(name, scale)
        shape = shapes_of(lower(architecture), 64, 96)[-1]
        picture = (64 * scale, 96 * scale) if entry.job != "classification" else ()
        assert shape == (architecture.out_channels, *picture)
        assert lower(Architecture.from_json(architecture.to_json())) == lower(architecture)


@pytest.mark.parametrize("name", NAMED_IN_PAPERS)
def test_every_network_goes_by_its_name(name: str) -> None:
    assert reference_named(name).paper


def test_no_two_references_are_one_network() -> None:
    hashes = [
        lower(reference(name, entry.nearest_scale(2))).canonical_hash()
        for name, entry in REFERENCES.items()
    ]
    assert len(set(hashes)) == len(hashes)


def test_an_alias_is_the_same_network() -> None:
    assert ALIASES["abpn"] == "abpn_m4c28"
    assert reference("abpn", 3) == reference("abpn_m4c28", 3)


@pytest.mark.parametrize("name", KEPT_IDS)
def test_the_first_references_kept_their_ids(name: str) -> None:
    assert reference(name, 2).id == KEPT_IDS[name]


def test_an_unknown_reference_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"'edsr' \(did you mean vdsr\?\); known: abpn_m4c28, "):
        reference("edsr", 2)


def test_a_scale_that_a_reference_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidArchitecture, match="'dncnn' exists at scale 1, not at 2"):
        reference("dncnn", 2)


def test_a_luma_network_is_refused_where_a_task_has_colours() -> None:
    assert fitting_reference("xlsr", scale=2, in_channels=3, out_channels=3)
    with pytest.raises(InvalidArchitecture, match="'srcnn' takes 1 and gives 1 channels"):
        fitting_reference("srcnn", scale=2, in_channels=3, out_channels=3)
