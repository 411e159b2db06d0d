"""The feature extractor: the same weights every time, kept in a cache that may be damaged."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vaezoo.evaluation import features
from vaezoo.evaluation.features import WIDTH, extractor_for

from .conftest import digits


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "STEPS", 60)


def test_the_same_data_give_the_same_weights(data, tmp_path: Path):
    torch.manual_seed(1)
    first = extractor_for(data, tmp_path / "a")
    torch.manual_seed(2)
    again = extractor_for(data, tmp_path / "b")
    assert first.hash == again.hash
    assert torch.equal(first.real("test"), again.real("test"))
    assert first.real("test").shape == (300, WIDTH)
    assert first.real("test").dtype == torch.float64


def test_other_data_give_other_weights(data, tmp_path: Path):
    other = replace(data, train=1 - data.train)
    assert extractor_for(data, tmp_path).hash != extractor_for(other, tmp_path).hash


def test_a_second_reading_comes_from_the_cache(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = extractor_for(data, tmp_path)
    kept = first.real("test")
    monkeypatch.setattr(features, "_made", lambda *_: pytest.fail("trained again"))
    again = extractor_for(data, tmp_path)
    assert again.hash == first.hash
    assert torch.equal(again.real("test"), kept)


def test_one_evaluation_reads_the_features_of_real_rows_once(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    extractor_for(data, tmp_path).real("test")
    again = extractor_for(data, tmp_path)
    first = again.real("test")
    monkeypatch.setattr(features, "cached", lambda *_: pytest.fail("read again"))
    assert again.real("test") is first


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_cache_is_made_anew(data, tmp_path: Path, damage: str):
    first = extractor_for(data, tmp_path)
    path = next(tmp_path.rglob("classifier.safetensors"))
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-5] ^= 0xFF
    path.write_bytes({"cut": content[:100], "flip": content, "empty": b""}[damage])
    assert extractor_for(data, tmp_path).hash == first.hash
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_that_cannot_be_written_to_costs_only_time(data, tmp_path: Path):
    (tmp_path / "features").write_text("in the way")
    assert extractor_for(data, tmp_path).hash == extractor_for(data, tmp_path / "b").hash


def test_the_classifier_has_learnt_the_digits(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Features of the trained network tell classes apart better than those of the random one."""
    from sklearn.neighbors import NearestCentroid

    def accuracy(trained: bool) -> float:
        e = extractor_for(data, tmp_path, trained)
        fitted = NearestCentroid().fit(e.real("train").numpy(), data.labels["train"].numpy())
        return fitted.score(e.real("test").numpy(), data.labels["test"].numpy())

    monkeypatch.setattr(features, "STEPS", 300)
    assert accuracy(True) > 0.85 > accuracy(False)


def test_unlabelled_data_get_a_random_network_and_say_so(tmp_path: Path):
    assert extractor_for(digits(labelled=False), tmp_path).words == "random network"


def test_padding_changes_no_feature(tmp_path: Path):
    from tests.conftest import SEQUENCE, rows_of
    from vaezoo.data.data import Data

    from .conftest import CARD

    x = rows_of(SEQUENCE, 40)
    data = Data("toy-sequences", SEQUENCE, x, x, x, CARD)
    e = extractor_for(data, tmp_path)
    longer = torch.cat([x, torch.full((40, 5, 5), torch.nan)], 1)
    torch.testing.assert_close(e(longer), e(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(e(x).mean(0), torch.zeros(WIDTH).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(e(x).std(0), torch.ones(WIDTH).double(), rtol=0, atol=1e-4)
