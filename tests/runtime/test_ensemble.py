"""The mean over eight ways to lay a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_bundles import picture, write_bundle

from runtime import as_input, load
from runtime.bicubic import enlarge
from runtime.ensemble import eight_ways
from runtime.pictures import Floats
from runtime.planes import packed, unpacked


def test_a_network_that_is_symmetric_is_its_own_ensemble() -> None:
    values = as_input(picture())
    made = eight_ways(lambda array: enlarge(array, 2))(values)
    assert np.allclose(made, enlarge(values, 2), atol=1e-5)


def test_the_phases_of_a_decoders_luma_turn_with_the_picture() -> None:
    def twice(planes: Floats) -> Floats:
        y, chroma = unpacked(planes)
        return packed(enlarge(y, 2), enlarge(chroma, 2))

    y, chroma = as_input(picture(20, 28, 1)), as_input(picture(10, 14, 2))
    planes = packed(y, chroma)
    assert np.allclose(eight_ways(twice)(planes), twice(planes), atol=1e-5)


def test_another_network_is_averaged_over_eight_different_outputs() -> None:
    seen: list[bytes] = []

    def first_row(array: Floats) -> Floats:
        seen.append(array.tobytes())
        kept = np.zeros_like(array)
        kept[:, :, 0] = array[:, :, 0]
        return kept

    made = eight_ways(first_row)(np.ones((1, 3, 6, 6), np.float32))
    # Twice each of the four edges.
    assert np.allclose(made[0, 0, 0], [0.5, 0.25, 0.25, 0.25, 0.25, 0.5])
    assert np.allclose(made[0, 0, 2], [0.25, 0, 0, 0, 0, 0.25])
    assert len(seen) == 8
    eight_ways(first_row)(as_input(picture(6, 6)))
    assert len(set(seen)) == 9


def test_a_bundle_runs_as_its_ensemble_in_tiles_too(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", precisions=("fp32",))
    frame = picture(60, 70)
    whole = load(folder, ensemble=True)(frame)
    cut = load(folder, ensemble=True, tile=40)(frame)
    assert np.abs(whole.astype(int) - cut.astype(int)).max() <= 1
    turned = load(folder, ensemble=True)(np.ascontiguousarray(np.rot90(frame)))
    assert np.abs(np.rot90(whole).astype(int) - turned.astype(int)).max() <= 1
    assert not np.array_equal(whole, load(folder)(frame))
