"""Published networks have the published size."""

from __future__ import annotations

import pytest

from search_spaces.base import UnknownName
from search_spaces.graph import gmacs, params_of, shapes_of
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import lower

# Chao et al., "Equivalent Transformation and Dual Stream Network Construction for Mobile Image
# Super-Resolution", CVPR 2023, x2, RGB, 1280 x 720 output: 26.8K and 6.1G, 24.7K and 5.6G, 11.5K
# and 2.6G parameters and multiply-adds.
PUBLISHED = {
    "espcn": (26796, 6.149, 26.8, 6.1),
    "fsrcnn": (24683, 5.607, 24.7, 5.6),
    "ecbsr_m4c16": (11548, 2.629, 11.5, 2.6),
}


def test_every_reference_has_a_published_size_here() -> None:
    assert set(PUBLISHED) == set(REFERENCES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_reference_has_the_parameters_and_the_work_of_its_paper(name: str) -> None:
    params, macs_g, printed_params_k, printed_macs_g = PUBLISHED[name]
    graph = lower(reference(name, 2))
    assert params_of(graph) == params
    assert gmacs(graph, 360, 640) == pytest.approx(macs_g, abs=5e-4)
    assert params / 1e3 == pytest.approx(printed_params_k, abs=0.051)
    assert macs_g == pytest.approx(printed_macs_g, abs=0.051)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_reference_exists_at_every_scale(name: str, scale: int) -> None:
    shapes = shapes_of(lower(reference(name, scale)), 8, 12)
    assert shapes[-1] == (3, 8 * scale, 12 * scale)


def test_an_unknown_reference_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="published network 'edsr'; known: ecbsr_m4c16, espcn"):
        reference("edsr", 2)
