import subprocess
import sys

import pytest

from trainers.base import Metric, QuantReport, TrainReport
from trainers.budget import Budget


def test_opening_base_imports_neither_torch_nor_lightning() -> None:
    code = (
        "import sys, trainers.base; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'pytorch_lightning')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_fit_leaves_lightning_alone() -> None:
    code = "import sys, trainers.fit; sys.exit('pytorch_lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_reports_survive_json() -> None:
    trained = TrainReport(30.5, "psnr_y", 100, 2.5, "out of time", "cpu fp32", (30.0, 31.0))
    quantized = QuantReport(30.2, 0.3, "int8", 20, 1.5, 0, (30.0, 30.4))
    assert TrainReport.from_json(trained.to_json()) == trained
    assert QuantReport.from_json(quantized.to_json()) == quantized
    before = {key: value for key, value in trained.to_json().items() if key != "scores"}
    assert TrainReport.from_json(before).scores == ()


def test_a_metric_knows_which_way_is_better() -> None:
    assert Metric("psnr_y", "dB", "max").better(31.0, 30.0)
    assert Metric("lpips", "1", "min").better(0.1, 0.2)
    assert not Metric("psnr_y", "dB", "max").better(30.0, 30.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_steps", 0), ("batch_size", -1), ("ema_decay", 1.0), ("max_minutes", 0.0),
     ("quant_steps", -1), ("judge_every", -1), ("optimizer", "sgd"),
     ("quant_optimizer", "sgd"), ("schedule", "step"),
     ("precision", "int8"), ("accelerator", "tpu"), ("memory_format", "nhwc"),
     ("compile", "all")],
)  # fmt: skip
def test_a_budget_that_cannot_be_spent_is_refused_by_field(
    field: str, value: float | str
) -> None:
    with pytest.raises(ValueError, match=f"budget.{field}"):
        Budget(**{field: value})  # type: ignore[arg-type]
