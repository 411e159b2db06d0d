"""What a trained model makes of rows: codes, reconstructions, missing entries, from Python."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import vaezoo
from vaezoo.core import VAE, Model, Spec, Unsupported
from vaezoo.data.files import BadData, MissingData
from vaezoo.evaluation.metrics import imputation
from vaezoo.registry.registry import load_registry
from vaezoo.seeds import seeded

IMAGES = Spec((1, 8, 8), hidden=8, latent=3)
LABELLED = Spec((1, 8, 8), hidden=8, latent=3, classes=10)
GAPPY = Spec((1, 8, 8), hidden=8, latent=3, has_gaps=True)
SEQUENCES = Spec((5, 2), "normal", hidden=8, latent=3, has_gaps=True, network="rnn")
X = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
C = torch.eye(10)[:7]
HOLES = X.masked_fill(X > 0.7, math.nan)


def model(name: str, spec: Spec) -> Model:
    with seeded("weights", name):
        return load_registry().variants[name](spec)


def test_codes_are_the_means_of_q_whatever_the_number_of_rows(monkeypatch: pytest.MonkeyPatch):
    vae = model("vae", IMAGES)
    assert isinstance(vae, VAE)
    (z,) = vaezoo.encode(vae, X)
    assert z.shape == (7, 3)
    assert not z.requires_grad
    assert torch.equal(z, vae.encoder(X, None).mean)
    monkeypatch.setattr("vaezoo.use.ROWS", 2)
    assert torch.allclose(vaezoo.encode(vae, X)[0], z, atol=1e-6)
    assert torch.equal(vaezoo.encode(vae, X)[0], vaezoo.encode(vae, X)[0])


def test_every_latent_has_its_codes():
    codes = vaezoo.encode(model("ladder", IMAGES), X)
    assert len(codes) > 1
    assert {len(z) for z in codes} == {7}


def test_reconstructions_are_the_means_of_p_at_the_codes():
    vae = model("vae", IMAGES)
    assert isinstance(vae, VAE)
    means = vaezoo.reconstruct(vae, X)
    assert means.shape == X.shape
    assert torch.equal(means, vae.decoder(vaezoo.encode(vae, X)[0][None], None).mean[0])


def test_a_condition_is_read_row_by_row_and_must_have_as_many():
    cvae = model("cvae", LABELLED)
    means = vaezoo.reconstruct(cvae, X, C)
    assert torch.allclose(vaezoo.reconstruct(cvae, X[2:], C[2:]), means[2:], atol=1e-6)
    assert not torch.allclose(vaezoo.reconstruct(cvae, X, C.roll(1, 0)), means)
    with pytest.raises(Unsupported, match="needs a condition c of width 10"):
        vaezoo.encode(cvae, X)
    with pytest.raises(BadData, match="c has 3 rows and x has 7; give one condition"):
        vaezoo.encode(cvae, X, C[:3])


def test_missing_entries_are_filled_and_what_is_there_stays():
    missing = model("missing", GAPPY)
    with seeded("impute"):
        full = vaezoo.impute(missing, HOLES, draws=5)
    assert torch.equal(full[~HOLES.isnan()], HOLES[~HOLES.isnan()])
    assert full.isfinite().all()
    with seeded("impute"):
        assert torch.equal(full, imputation.impute(missing, HOLES, None, 5))


def test_padding_stays_and_a_gap_before_the_last_step_is_filled():
    x = torch.zeros(2, 5, 2)
    x[0, 3:] = math.nan
    x[1, 1, 0] = math.nan
    full = vaezoo.impute(model("vrnn", SEQUENCES), x, draws=3)
    assert full[0, 3:].isnan().all()
    assert full[0, :3].isfinite().all()
    assert full[1].isfinite().all()
    assert full[1, 1, 0] != 0


def test_a_model_of_complete_data_fills_nothing():
    with pytest.raises(Unsupported, match="this model was trained on complete data and cannot"):
        vaezoo.impute(model("vae", IMAGES), HOLES)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X[:0], r"x has no rows: its shape is \(0, 1, 8, 8\)"),
        (X[0], r"x has rows of shape \(8, 8\), and this model reads \(1, 8, 8\)"),
        (torch.tensor(1.0), r"x has rows of shape \(\), and this model reads \(1, 8, 8\)"),
        (HOLES, r"x has NaN in row 0 \(counted from 0\), and this model was trained on complete"),
        (X / 0, r"x has an infinite value .* in row 0"),
    ],
    ids=["none", "one", "scalar", "gaps", "infinite"],
)
@pytest.mark.parametrize("verb", [vaezoo.encode, vaezoo.reconstruct])
def test_what_a_model_cannot_read_is_one_sentence(verb, x: torch.Tensor, words: str):
    with pytest.raises(BadData, match=words) as caught:
        verb(model("vae", IMAGES), x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8", "bool"])
def test_rows_of_a_file_are_float32(tmp_path: Path, dtype: str):
    x = (np.arange(2 * 64).reshape(2, 1, 8, 8) % 2).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, other=np.zeros(3))
    for name in ("x.npy", "x.npz"):
        rows = vaezoo.rows_from(tmp_path / name, IMAGES)
        assert rows.dtype == torch.float32
        assert np.array_equal(rows, x.astype("float32"))


def test_rows_with_gaps_are_read_for_a_model_of_gaps(tmp_path: Path):
    np.save(tmp_path / "x.npy", HOLES)
    assert torch.equal(vaezoo.rows_from(str(tmp_path / "x.npy"), GAPPY).isnan(), HOLES.isnan())
    with pytest.raises(BadData, match=r"x.npy has NaN in row 0"):
        vaezoo.rows_from(tmp_path / "x.npy", IMAGES)


def test_a_file_without_rows_is_one_sentence(tmp_path: Path):
    np.savez(tmp_path / "other.npz", y=np.zeros(3))
    (tmp_path / "cut.npz").write_bytes(b"PK")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "folder.npy").mkdir()
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    cases = {
        "other.npz": "holds y; expected train \\(or x\\)",
        "cut.npz": "is no .npz file of plain numbers",
        "empty.npy": "is empty",
        "objects.npy": "is no .npy file of plain numbers",
        "words.npy": "holds an array of type <U1; expected real numbers",
        "words.pkl": "arrays are read from",
    }
    for name, words in cases.items():
        with pytest.raises(BadData, match=words) as caught:
            vaezoo.rows_from(tmp_path / name, IMAGES)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadData, match="holds no pictures"):
        vaezoo.rows_from(tmp_path / "folder.npy", IMAGES)
    with pytest.raises(MissingData, match="there is no file"):
        vaezoo.rows_from(tmp_path / "nix.npy", IMAGES)
