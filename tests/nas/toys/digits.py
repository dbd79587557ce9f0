"""Handwritten digits, as a task: scikit-learn's 1,797 pictures of 8 x 8, enlarged to 32 x 32."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from runtime.signature import INPUT, OUTPUT, one_to_one
from trainers.base import Batch
from trainers.metrics.labels import TOP1


class Digits:
    """Which of ten it is; each fifth picture is judged, the others are learned from."""

    metric = TOP1
    signature = one_to_one(1, 10, None)
    baseline_name = "the most frequent digit"
    crop = 32

    def __init__(self, *, seed=0):
        found = load_digits()
        pictures = np.kron(found.images, np.ones((4, 4)))[:, None].astype(np.float32) / 16
        judged = np.arange(len(pictures)) % 5 == 0
        self.seed = seed
        self.pictures, self.labels = torch.from_numpy(pictures[~judged]), found.target[~judged]
        self.judged, self.wanted = pictures[judged], found.target[judged]

    def batch(self, step, *, seed, size, device="cpu"):
        chosen = np.random.default_rng((seed, step)).integers(len(self.labels), size=size)
        labels = torch.from_numpy(self.labels[chosen])
        return Batch({INPUT: self.pictures[chosen].to(device)}, labels.to(device))

    def loss(self, outputs, batch):
        return functional.cross_entropy(outputs[OUTPUT], batch.truth)

    def calibration(self, count):
        return self.batch(2**31, seed=self.seed, size=count)

    def scores(self, run):
        made = run([{INPUT: picture[None]} for picture in self.judged])
        guesses = [int(one[OUTPUT].argmax()) for one in made]
        return tuple(100.0 * (g == w) for g, w in zip(guesses, self.wanted, strict=True))

    def baseline(self):
        return 100.0 * float(np.mean(self.wanted == np.bincount(self.labels).argmax()))
