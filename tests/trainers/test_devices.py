from pathlib import Path

import pytest
import torch

from trainers import devices
from trainers.budget import Budget
from trainers.devices import settle


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")


def processor(tmp_path: Path, flags: str) -> Path:
    facts = tmp_path / "cpuinfo"
    facts.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    return facts


@pytest.mark.usefixtures("with_gpu")
def test_a_gpu_is_taken_where_there_is_one_unless_the_processor_was_asked_for() -> None:
    assert settle(Budget(accelerator="auto", precision="fp16")).name == "A GPU fp16"
    assert settle(Budget(accelerator="auto", precision="fp16")).precision == "16-mixed"
    assert settle(Budget(accelerator="cpu")).name == "cpu fp32"


@pytest.mark.usefixtures("without_gpu")
def test_a_processor_is_taken_where_there_is_no_gpu() -> None:
    assert settle(Budget(accelerator="auto")).accelerator == "cpu"


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(accelerator="gpu"), "torch finds none"),
        (Budget(precision="fp16"), "needs a GPU: use fp32"),
        (Budget(compile="cuda_graphs"), "needs a GPU: use none"),
    ],
    ids=["gpu", "fp16", "graphs"],
)
def test_what_this_machine_cannot_do_is_refused(budget: Budget, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settle(budget)


@pytest.mark.usefixtures("without_gpu")
def test_bf16_is_for_processors_that_have_its_arithmetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_CPU_FACTS", processor(tmp_path, "sse avx2 avx512f"))
    with pytest.raises(ValueError, match="no bf16 arithmetic"):
        settle(Budget(precision="bf16"))
    monkeypatch.setattr(devices, "_CPU_FACTS", processor(tmp_path, "avx512_bf16 avx2"))
    assert settle(Budget(precision="bf16")).precision == "bf16-mixed"
    monkeypatch.setattr(devices, "_CPU_FACTS", tmp_path / "nothing")
    with pytest.raises(ValueError, match="no bf16 arithmetic"):
        settle(Budget(precision="bf16"))
