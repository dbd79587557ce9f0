import numpy as np
import pytest

from search_spaces.modules import build, weights_of
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.sparsity import can_be_sparse, is_sparse, sparsity_masks, two_of_four


def test_the_two_largest_of_every_four_input_channels_stay() -> None:
    weight = np.zeros((1, 4, 1, 2), dtype=np.float32)
    weight[0, :, 0, 0] = [0.1, -3.0, 2.0, 0.5]
    weight[0, :, 0, 1] = [4.0, 0.0, -0.2, 0.3]
    mask = two_of_four(weight)
    assert mask[0, :, 0, 0].tolist() == [False, True, True, False]
    assert mask[0, :, 0, 1].tolist() == [True, False, False, True]
    assert is_sparse(weight * mask) and not is_sparse(weight)


def test_equal_weights_still_leave_exactly_two() -> None:
    mask = two_of_four(np.ones((3, 8, 3, 3), dtype=np.float32))
    assert mask.sum() == mask.size // 2


def test_layers_that_read_an_image_cannot_be_sparse() -> None:
    graph = lower(reference("ecbsr_m4c16", 2))
    layers = can_be_sparse(graph)
    masks = sparsity_masks(graph, weights_of(build(graph, seed=0)))
    assert len(layers) == 5 and set(masks) == set(layers)
    with pytest.raises(ValueError, match="rows of 4"):
        two_of_four(np.zeros((8, 3, 3, 3), dtype=np.float32))
