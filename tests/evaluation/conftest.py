"""Digits by hand, and a small VAE, so that these tests need neither files nor training."""

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from vaezoo.core import VAE, Spec
from vaezoo.data.data import Card, Data
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write

CARD = Card("digits", "scikit-learn", "CC BY 4.0", "binarised at half")


def digits(labelled: bool = True, n_test: int = 300) -> Data:
    bunch = load_digits()
    x = torch.tensor(bunch.images[:, None] > 7.5).float()
    y = torch.tensor(bunch.target)
    cuts = {
        "train": slice(0, 1300),
        "validation": slice(1300, 1490),
        "test": slice(1490, 1490 + n_test),
    }
    spec = Spec((1, 8, 8), n_train=1300, classes=10 if labelled else 0, latent=4, hidden=32)
    labels = {name: y[cut] for name, cut in cuts.items()} if labelled else {}
    return Data("toy-digits", spec, *(x[cut] for cut in cuts.values()), CARD, labels)


def gaussian_vae(spec: Spec) -> VAE:
    torch.manual_seed(0)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO()).eval()


@pytest.fixture
def data() -> Data:
    return digits()


@pytest.fixture
def model(data: Data) -> VAE:
    return gaussian_vae(data.spec)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _extractors_are_kept_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEZOO_CACHE", str(cache))
