import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from trainers.metrics.labels import TOP1, top1


def test_it_is_the_accuracy_of_torchmetrics_from_tensors_and_from_arrays() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(50, 4, generator=generator)
    labels = torch.randint(0, 4, (50,), generator=generator)
    theirs = multiclass_accuracy(scores, labels, num_classes=4, average="micro")
    assert top1(scores, labels) == pytest.approx(100 * theirs.item())
    assert top1(scores.numpy(), labels.numpy()) == top1(scores, labels)
    assert TOP1.better(80.0, 70.0)


def test_scores_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, classes\) and \(N,\) are needed"):
        top1(np.zeros((3, 4)), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="N at least 1"):
        top1(np.zeros((0, 4)), np.zeros(0, np.int64))


def test_scores_that_are_not_finite_are_no_answer() -> None:
    with pytest.raises(FloatingPointError):
        top1(np.full((1, 4), np.nan), np.zeros(1, np.int64))
