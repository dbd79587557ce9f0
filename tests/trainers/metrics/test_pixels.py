import numpy as np
import pytest
import torch

from trainers.metrics.pixels import luma, to_pixels


def test_white_and_black_have_the_studio_range_in_luma() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(luma(ends), [[16.0, 235.0]], atol=1e-3)


def test_outputs_are_clipped_and_rounded_half_up() -> None:
    output = np.array([-0.1, 0.5 / 255, 0.49 / 255, 1.2], np.float32)
    assert to_pixels(np.tile(output, (1, 3, 1, 1)))[0, :, 0].tolist() == [0, 1, 0, 255]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_a_tensor_gives_the_picture_of_its_array(dtype: torch.dtype) -> None:
    output = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = to_pixels(output.float().numpy())
    np.testing.assert_array_equal(to_pixels(output.requires_grad_()), expected)


def test_an_output_that_is_not_finite_has_no_metric() -> None:
    with pytest.raises(FloatingPointError):
        to_pixels(np.full((1, 3, 2, 2), np.nan, np.float32))
