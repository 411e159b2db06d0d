"""A model of own data speaks the file's units: read, codes, samples, gaps and densities, there and
back, in Python, on the command line and after a checkpoint.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.stats import multivariate_normal

import vaezoo
from vaezoo.cli import vaezoo as program
from vaezoo.core import VAE, Model
from vaezoo.data.reader import Reader

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 6, 5), dtype=np.uint8)
AGES = np.stack([RNG.normal(40, 12, 60), RNG.normal(3e4, 1e4, 60), 1.7e9 + np.arange(60)], 1)


def call(*words: object) -> str:
    result = CliRunner().invoke(program, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def trained(path: Path, data: str, variant: str = "vae") -> Path:
    out = path.parent / f"{variant}.safetensors"
    call("train", variant, "-d", data, "-o", out, "--epochs", 1, "--set", "hidden=8",
         "--set", "latent=2")  # fmt: skip
    return out


@pytest.mark.parametrize("layout", ["HW", "HWC"])
def test_codes_of_a_file_of_bytes_are_those_of_the_data_set(layout: str, tmp_path: Path):
    path = tmp_path / "x.npz"
    x = PIXELS if layout == "HW" else np.stack([PIXELS] * 3, 3)
    np.savez(path, train=x[:20], validation=x[20:30], test=x[30:])
    name = f"arrays[path={path},channels={'last' if layout == 'HWC' else 'auto'}]"
    model = trained(path, name)
    np.save(tmp_path / "test.npy", x[30:])
    for source, out in ((name, "a.npz"), (tmp_path / "test.npy", "b.npz")):
        call("encode", model, "-d", source, "-o", tmp_path / out)
    a = np.load(tmp_path / "a.npz")["z0"]
    assert np.array_equal(a, np.load(tmp_path / "b.npz")["z0"])
    loaded = vaezoo.load(model)
    assert np.array_equal(vaezoo.encode(loaded, x[30:])[0], a)
    assert torch.equal(vaezoo.encode(loaded, vaezoo.dataset(name).test)[0], torch.from_numpy(a))

    call("reconstruct", model, "-d", tmp_path / "test.npy", "-o", tmp_path / "r.npz")
    again = np.load(tmp_path / "r.npz")
    assert np.array_equal(again["x"].round(), x[30:])
    assert again["reconstruction"].shape == x[30:].shape
    assert again["reconstruction"].std() > 10
    call("sample", model, "-n", 3, "-o", tmp_path / "s.npz", "--mean")
    assert np.load(tmp_path / "s.npz")["x"].shape == (3, *x.shape[1:])
    assert np.load(tmp_path / "s.npz")["x"].std() > 10


def test_filled_gaps_and_samples_of_a_table_are_in_its_own_units(tmp_path: Path):
    x = AGES.copy()
    x[::5, 0] = np.nan
    x[1::5, 2] = np.nan
    path = tmp_path / "x.npy"
    np.save(path, x)
    model = trained(path, f"arrays[path={path},gaps=true]", "missing")
    call("impute", model, path, "-o", tmp_path / "full.npz", "-k", 5)
    full = np.load(tmp_path / "full.npz")["x"]
    is_there = ~np.isnan(x)
    assert np.array_equal(full[is_there], x[is_there])  # to the second, not to two minutes
    assert (np.abs(full[::5, 0] - 40) < 60).all()
    assert (np.abs(full[1::5, 2] - 1.7e9 - 30) < 100).all()

    call("sample", model, "-n", 50, "-o", tmp_path / "s.npz")
    drawn = np.load(tmp_path / "s.npz")["x"]
    assert np.abs(drawn.mean(0) - np.nanmean(x, 0)) == pytest.approx([0, 0, 0], abs=3e4)
    assert abs(drawn[:, 0].mean() - 40) < 12
    assert abs(drawn[:, 2].mean() - 1.7e9) < 1000


def test_another_file_is_read_with_the_models_mean_and_not_with_its_own(tmp_path: Path):
    np.save(tmp_path / "x.npy", AGES)
    name = f"arrays[path={tmp_path / 'x.npy'}]"
    loaded = vaezoo.load(trained(tmp_path / "x.npy", name))
    other = tmp_path / "other.npz"
    np.savez(other, train=AGES[:20] * [3, 3, 1], validation=AGES[20:30], test=AGES[30:])
    call("encode", tmp_path / "vae.safetensors", "-d", f"arrays[path={other}]", "-o",
         tmp_path / "c.npz")  # fmt: skip
    z = np.load(tmp_path / "c.npz")["z0"]
    assert np.allclose(z, vaezoo.encode(loaded, AGES[30:])[0], atol=1e-4)


def test_a_model_of_data_without_a_reader_is_what_it_was(tmp_path: Path):
    digits = vaezoo.dataset("digits")
    assert digits.reader is None
    assert set(digits.hashes) == {"train", "validation", "test"}
    model = vaezoo.variants()["vae"](digits.spec)
    assert model.data_reader is None
    z = vaezoo.encode(model, digits.test[:5])[0]
    assert np.array_equal(vaezoo.encode(model, digits.test[:5].numpy())[0], z.numpy())


def exact(reader: Reader) -> tuple[Model, np.ndarray, np.ndarray]:
    """A linear model with its exact posterior, and the mean and covariance of its x."""
    spec = vaezoo.Spec((3,), "normal", latent=2)
    model = vaezoo.variants()["linear"](spec).double()
    assert isinstance(model, VAE)
    model.data_reader = reader
    noise = 0.7
    slopes = torch.tensor([1.5, -0.4], dtype=torch.float64)
    scale = model.decoder.scale
    with torch.no_grad():
        model.decoder.likelihood.log_scale.fill_(math.log(noise))
        model.decoder.weight.zero_()
        model.decoder.weight[0, 0] = slopes[0] / scale
        model.decoder.weight[1, 1] = slopes[1] / scale
        model.decoder.centre.mean.copy_(torch.tensor([0.3, 0.0, -2.0]))
        variance = slopes**2 + noise**2
        model.encoder.weight.zero_()
        model.encoder.weight[0, 0] = slopes[0] / variance[0] / scale
        model.encoder.weight[1, 1] = slopes[1] / variance[1] / scale
        model.encoder.log_scale.copy_((noise**2 / variance).sqrt().log())
    mean = model.decoder.centre.mean.numpy()
    covariance = np.diag([*(slopes**2).tolist(), 0.0]) + noise**2 * np.eye(3)
    return model, mean, covariance


def test_log_prob_of_an_array_is_the_exact_density_of_its_values():
    """Of a Gaussian model whose posterior is exact, so that every weight is p(x)."""
    reader = Reader((40.0, 3e4, 1.7e9), (12.0, 1e4, 17.0))
    model, mean, covariance = exact(reader)
    scale = np.array(reader.deviation)
    own = multivariate_normal(mean * scale + reader.mean, covariance * scale[:, None] * scale)
    found = vaezoo.log_prob(model, AGES, draws=3)
    assert np.abs(found - own.logpdf(AGES)).max() < 1e-6

    x = reader.read(torch.from_numpy(AGES), torch.float64)
    inside = multivariate_normal(mean, covariance).logpdf(x.numpy())
    assert np.abs(vaezoo.log_prob(model, x, draws=3).numpy() - inside).max() < 1e-9


def test_decode_and_reconstruct_are_in_the_units_of_what_was_given():
    reader = Reader((40.0, 3e4, 1.7e9), (12.0, 1e4, 17.0))
    model, *_ = exact(reader)
    (z,) = vaezoo.encode(model, AGES)
    assert np.allclose(vaezoo.decode(model, z), vaezoo.reconstruct(model, AGES), rtol=1e-12)
    inside = vaezoo.decode(model, torch.from_numpy(z))
    assert np.allclose(reader.back(inside).numpy(), vaezoo.decode(model, z), rtol=1e-12)
    assert vaezoo.sample(model, 200).mean(0) == pytest.approx(reader.mean, rel=0.5)


def test_a_table_is_read_by_its_names_in_any_order():
    import pandas as pd

    model, *_ = exact(Reader((40.0, 3e4, 1.7e9), (12.0, 1e4, 17.0), names=("age", "pay", "t")))
    table = pd.DataFrame(AGES, columns=["age", "pay", "t"])
    z = vaezoo.encode(model, AGES)[0]
    assert np.array_equal(vaezoo.encode(model, table[["t", "age", "pay"]])[0], z)
    with pytest.raises(ValueError, match="x lacks the columns pay, t"):
        vaezoo.encode(model, table[["age"]])


def test_a_checkpoint_with_a_reader_is_of_a_format_that_older_versions_refuse(tmp_path: Path):
    from safetensors import safe_open

    model, *_ = exact(Reader())
    for reader, version in ((None, '"format": 1'), (Reader(deviation=(2.0,)), '"format": 2')):
        model.data_reader = reader
        with safe_open(vaezoo.save(model, tmp_path / "m.safetensors"), "pt") as file:
            assert version in file.metadata()["vaezoo"]
        assert vaezoo.load(tmp_path / "m.safetensors").data_reader == reader
    model.data_reader = Reader(mean=(1.0, 2.0))
    vaezoo.save(model, tmp_path / "m.safetensors")
    with pytest.raises(vaezoo.CheckpointError, match="2 of mean, and x has 3 columns"):
        vaezoo.load(tmp_path / "m.safetensors")


TABLE = "who;age;pay;kind\n" + "".join(
    f"p{i};{30 + i % 7},5;{'' if i % 5 == 0 else 20000 + 100 * i};{'ab'[i % 2]}\n"
    for i in range(40)
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table that has gaps, names of rows and words as labels; and a model of it."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "x.csv").write_text(TABLE)
    trained(folder / "x.csv", f"arrays[path={folder / 'x.csv'},id=who,label=kind,gaps=true]",
            "missing")  # fmt: skip
    return folder


def test_a_table_is_encoded_and_filled_row_by_row_under_its_names(table: Path):
    import pandas as pd

    model = table / "missing.safetensors"
    call("encode", model, "-d", table / "x.csv", "-o", table / "codes.csv")
    codes = pd.read_csv(table / "codes.csv")
    assert list(codes) == ["row", "label", "z0_0", "z0_1"]
    assert list(codes["row"][:2]) == ["p0", "p1"]
    assert list(codes["label"][:2]) == ["a", "b"]
    call("impute", model, table / "x.csv", "-o", table / "full.csv", "-k", 3)
    full = pd.read_csv(table / "full.csv")
    assert list(full) == ["row", "label", "age", "pay"]
    assert full["age"][3] == 33.5
    assert full["pay"][3] == 20300
    assert full["pay"].notna().all()


def test_a_table_of_other_order_and_without_labels_is_read_by_its_names(table: Path):
    model = vaezoo.load(table / "missing.safetensors")
    reader = model.data_reader
    assert reader is not None
    assert (reader.names, reader.classes, reader.label) == (("age", "pay"), ("a", "b"), "kind")
    (table / "new.csv").write_text("pay,age\n20100,31.5\n,32.5\n")
    x = vaezoo.rows_from(table / "new.csv", model.recipe.spec, reader)
    assert reader.back(x)[0].tolist() == pytest.approx([31.5, 20100])
    assert x[1, 1].isnan()
    (table / "bad.csv").write_text("pay,height\n20100,31.5\n,32.5\n")
    with pytest.raises(ValueError, match="lacks age and has height; this model was trained on"):
        vaezoo.rows_from(table / "bad.csv", model.recipe.spec, reader)


def test_a_file_or_a_folder_is_a_data_set_by_its_name_alone(tmp_path: Path):
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{i}.5,{i % 4}\n" for i in range(20)))
    trained(tmp_path / "x.csv", str(tmp_path / "x.csv"))
    assert (tmp_path / "vae.safetensors").is_file()


def test_score_writes_the_exact_density_and_the_share_of_rows_below(tmp_path: Path):
    import pandas as pd

    reader = Reader((40.0, 3e4, 1.7e9), (12.0, 1e4, 17.0), names=("age", "pay", "t"))
    model, mean, covariance = exact(reader)
    vaezoo.save(model.float(), tmp_path / "m.safetensors")
    pd.DataFrame(AGES, columns=["age", "pay", "t"]).to_csv(tmp_path / "x.csv", index=False)
    said = call("score", tmp_path / "m.safetensors", "-d", tmp_path / "x.csv", "--share", 0.1,
                "-k", 3, "-o", tmp_path / "s.csv")  # fmt: skip
    table = pd.read_csv(tmp_path / "s.csv")
    scale = np.array(reader.deviation)
    own = multivariate_normal(mean * scale + reader.mean, covariance * scale[:, None] * scale)
    truth = own.logpdf(AGES)
    assert np.abs(table["log_p"] - truth).max() < 1e-3
    assert table["is_outlier"].sum() == 6
    assert set(np.argsort(truth)[:6]) == set(np.flatnonzero(table["is_outlier"]))
    assert table["share_below"].tolist() == [np.mean(truth < value) for value in truth]
    assert "6 of 60 rows are outliers" in said


def test_the_card_of_a_file_says_what_its_columns_look_like(table: Path):
    said = call("data", f"arrays[path={table / 'x.csv'},id=who,label=kind,gaps=true]")
    assert "age: amounts, 30.5 … 36.5" in said
    assert "pay: counts, 20100 … 23900, 8 gaps" in said
    assert "label 'kind': a (20), b (20)" in said
    assert "left out: who" in said
    (table / "y.csv").write_text("a,b\n" + "".join(f"{i % 2},{i / 8 - 1}\n" for i in range(20)))
    said = call("data", table / "y.csv")
    assert "a: yes or no, 0 … 1" in said
    assert "b: numbers, -1 … 1.375" in said
