from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainers.feature_networks import (
    needs_real,
    random_network,
    random_state,
    real_network,
    two_images,
)
from trainers.base import DataError
from trainers.features import networks
from trainers.features.network import MEAN, STD, FeatureNetwork, own, published

NAME = "squeezenet1_1"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A torch hub cache of our own."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def put_published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as torchvision would publish it: classifier included, its hash in its name."""
    state = {**random_state(NAME), "classifier.1.weight": torch.zeros(10, 512, 1, 1)}
    torch.save(state, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    path = (folder / "new.pth").rename(folder / f"squeezenet1_1-{digest[:8]}.pth")
    layouts = {**networks.LAYOUTS, NAME: replace(networks.LAYOUTS[NAME], file=path.name)}
    for module in ("networks", "weights"):
        monkeypatch.setattr(f"trainers.features.{module}.LAYOUTS", layouts)
    return path


def test_a_published_file_is_found_in_the_cache_and_checked(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put_published(cache, monkeypatch)
    images, _ = two_images()
    expected = random_network(NAME)(images, ("fire9",))["fire9"]
    torch.testing.assert_close(published(NAME)(images, ("fire9",))["fire9"], expected)
    moved = path.rename(path.with_name("mine.pth"))
    torch.testing.assert_close(
        published(NAME, path=moved)(images, ("fire9",))["fire9"], expected
    )


def test_a_file_cut_short_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put_published(cache, monkeypatch)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="is not torchvision's .* fetch it again"):
        published(NAME)


@pytest.mark.parametrize("name", networks.LAYOUTS)
def test_a_missing_file_is_named_and_where_it_belongs(cache: Path, name: str) -> None:
    with pytest.raises(DataError) as told:
        published(name)
    assert networks.LAYOUTS[name].file in str(told.value) and str(cache) in str(told.value)
    with pytest.raises(DataError, match="are not at .*/elsewhere.pth"):
        published(name, path="/elsewhere.pth")


def test_images_are_normalised_inside() -> None:
    images, _ = two_images()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    plain = FeatureNetwork(NAME, random_state(NAME), mean=(0, 0, 0), std=(1, 1, 1))
    expected = plain((images - mean) / std, ("fire3",))["fire3"]
    torch.testing.assert_close(random_network(NAME)(images, ("fire3",))["fire3"], expected)


def test_it_is_frozen_and_stays_in_eval_mode_and_out_of_the_gradient() -> None:
    network = random_network(NAME)
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    images = two_images()[0].requires_grad_()
    network(images, ("relu1",))["relu1"].sum().backward()
    assert images.grad is not None and torch.isfinite(images.grad).all()


def test_making_one_draws_nothing_at_random() -> None:
    state = random_state(NAME)
    before = torch.get_rng_state()
    FeatureNetwork(NAME, state)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
def test_weights_of_yours_load_from_either_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    state = random_state(NAME)
    if suffix == ".pth":
        torch.save(state, path)
    else:
        np.savez(path, **{key: value.numpy() for key, value in state.items()})
    images, _ = two_images()
    got = own(NAME, path=path)(images, ("fire6",))["fire6"]
    torch.testing.assert_close(got, random_network(NAME)(images, ("fire6",))["fire6"])


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(random_state("squeezenet1_0"), tmp_path / "other.pth")
    with pytest.raises(DataError, match="not weights of squeezenet1_1: .*features"):
        own(NAME, path=tmp_path / "other.pth")


def test_what_is_no_file_of_weights_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file .*gone.pth"):
        own(NAME, path=tmp_path / "gone.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(DataError, match="text.pth cannot be read"):
        own(NAME, path=tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(DataError, match="list.pth is not a state dict"):
        own(NAME, path=tmp_path / "list.pth")


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 3, 16, 32)])
def test_images_it_cannot_take_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="takes RGB images of 17x17 or more"):
        random_network(NAME)(torch.zeros(shape), ("relu1",))


@needs_real
def test_the_real_squeezenet_loads_by_its_original_names_and_tells_pictures_apart() -> None:
    noise, smooth = two_images(96)
    features = real_network()(torch.cat((noise, smooth)), ("fire9",))["fire9"]
    assert features.shape[1] == 512
    vectors = torch.nn.functional.normalize(features.mean(dim=(2, 3)), dim=1)
    alike = vectors @ vectors.T
    assert alike[0, 1] > alike[0, 2] and alike[2, 3] > alike[1, 3]
