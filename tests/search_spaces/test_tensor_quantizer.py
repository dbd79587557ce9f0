"""Rounding with zero points and with scales that have a bound."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from search_spaces.tensor_quantizer import TensorQuantizer


def calibrated(values: Tensor, **options: object) -> TensorQuantizer:
    quantizer = TensorQuantizer(**options)  # type: ignore[arg-type]
    quantizer.start_calibration()
    quantizer(values[None])
    quantizer.finish_calibration()
    return quantizer


def error(quantizer: TensorQuantizer, values: Tensor) -> float:
    with torch.no_grad():
        return float((quantizer(values[None]) - values).square().mean())


@pytest.mark.parametrize(("low", "high"), [(-0.1, 1.0), (-1.0, 0.1), (-0.3, 2.7)])
def test_levels_move_to_where_the_values_are(low: float, high: float) -> None:
    values = torch.empty(5000).uniform_(low, high, generator=torch.Generator().manual_seed(0))
    moved, fixed = calibrated(values, shifts=True), calibrated(values)
    assert error(moved, values) < 0.5 * error(fixed, values)
    assert moved.levels[1] - moved.levels[0] == 255
    assert moved.zero_point == -moved.levels[0] and fixed.zero_point is None
    assert fixed.levels == (-128, 127)


def test_values_on_both_sides_alike_keep_zero_in_the_middle() -> None:
    values = torch.linspace(-1, 1, 1001)
    moved = calibrated(values, shifts=True)
    assert abs(moved.levels[0] + 128) <= 1


@pytest.mark.parametrize("values", [torch.zeros(9), -torch.ones(9), torch.ones(9)])
def test_values_on_one_side_or_none_have_levels_all_the_same(values: Tensor) -> None:
    moved = calibrated(values, shifts=True)
    assert error(moved, values) < 1e-4
    assert moved.levels[0] <= 0 <= moved.levels[1]


def test_zero_is_held_exactly_wherever_it_is() -> None:
    moved = calibrated(torch.tensor([-0.37, 0.0, 1.91]), shifts=True)
    with torch.no_grad():
        assert float(moved(torch.zeros(1, 1))) == 0.0


def test_a_checkpoint_holds_the_zero_point() -> None:
    values = torch.linspace(-0.2, 1.0, 500)
    moved, again = calibrated(values, shifts=True), TensorQuantizer(shifts=True)
    again.load_state_dict(moved.state_dict())
    assert again.levels == moved.levels != TensorQuantizer(shifts=True).levels
    assert error(again, values) == error(moved, values)
    assert set(TensorQuantizer().state_dict()) == {"scale"}


def test_a_zero_point_that_is_fixed_cannot_be_moved() -> None:
    with pytest.raises(ValueError, match="not free"):
        TensorQuantizer().shift(3)


def test_a_scale_beyond_its_bound_is_the_bound_and_comes_back() -> None:
    quantizer = TensorQuantizer(low=0, high=255, most=1.0 / 255)
    with torch.no_grad():
        quantizer.scale.fill_(0.0)
    assert float(quantizer.step().detach()) == pytest.approx(1.0 / 255, rel=1e-5)
    quantizer(torch.full((1, 4), 0.3)).sum().backward()
    assert quantizer.scale.grad is not None and float(quantizer.scale.grad) != 0.0
