"""What would be read wrongly without a word: it is put right, or refused in one sentence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import wavfile

import vaezoo
from vaezoo.cli.rows import rows_of
from vaezoo.data.again import values_from
from vaezoo.data.coding import worded
from vaezoo.data.columns import Column
from vaezoo.data.files import BadData
from vaezoo.data.reader import Reader
from vaezoo.registry.registry import load_registry
from vaezoo.seeds import seeded
from vaezoo.use import in_order

RNG = np.random.default_rng(0)


def wine(n: int = 40) -> pd.DataFrame:
    x = RNG.normal(size=(n, 3)) * [1, 10, 100] + [0, 50, 5]
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(k=np.arange(n) % 2)


def saved(table: pd.DataFrame, path: Path) -> str:
    table.to_csv(path, index=False)
    return str(path)


def test_columns_of_data_with_options_are_read_in_the_models_order(tmp_path: Path):
    table = wine()
    own = vaezoo.dataset(saved(table, tmp_path / "w1.csv") + "[label=k]")
    turned = saved(table[["c", "k", "a", "b"]], tmp_path / "w2.csv")
    found = vaezoo.dataset(f"{turned}[label=k]").read_by(own.reader, "test")
    assert torch.allclose(found, own.test, atol=1e-5)
    raw = vaezoo.dataset(f"{turned}[label=k,standardise=false]")
    plain = vaezoo.dataset(f"{tmp_path}/w1.csv[label=k,standardise=false]")
    assert torch.equal(raw.read_by(plain.reader, "test"), plain.test)


def test_other_columns_than_the_models_are_refused(tmp_path: Path):
    own = vaezoo.dataset(saved(wine(), tmp_path / "w1.csv") + "[label=k]")
    other = wine().rename(columns={"b": "d"})
    data = vaezoo.dataset(saved(other, tmp_path / "w2.csv") + "[label=k]")
    with pytest.raises(BadData, match="lacks b and has d; this model was trained on a, b, c"):
        data.read_by(own.reader, "test")
    mixed = vaezoo.dataset(f"table[path={tmp_path}/w1.csv,label=k]")
    with pytest.raises(BadData, match="is a table of mixed columns, and this model reads numbers"):
        mixed.read_by(own.reader, "test")


@pytest.mark.parametrize("known", ["arrays", "table"])
def test_minus_one_among_words_is_no_class(known: str, tmp_path: Path):
    table = wine(60).drop(columns="k")
    table["label"] = np.array(["cat", "dog", "-1", "(none)"])[np.arange(60) % 4]
    data = vaezoo.dataset(f"{known}[path={saved(table, tmp_path / 'x.csv')}]")
    assert data.reader.classes == ("(none)", "cat", "dog")
    assert data.spec.unlabelled == int((data.labels["train"] == -1).sum()) > 0
    lacking = sum(int((y == -1).sum()) for y in data.labels.values())
    assert lacking == 15


def test_a_first_line_of_words_that_stand_below_it_is_asked_about(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("Oslo,yes\nRome,no\nOslo,no\nKyoto,yes\n" * 5)
    with pytest.raises(BadData, match=r"is its first line .Oslo, yes. names or data"):
        vaezoo.dataset(f"table[path={path}]")
    data = vaezoo.dataset(f"table[path={path},header=false]")
    assert sum(len(data.split(s)) for s in ("train", "validation", "test")) == 20


def test_numbers_that_name_rows_are_refused_of_mixed_columns_too(tmp_path: Path):
    table = wine().assign(k=10**17 + np.arange(40) * 3)
    table.loc[3, "a"] = np.nan
    for known in ("table[path=", "arrays[gaps=true,path="):
        with pytest.raises(BadData, match="floating point does not keep apart; say id=k"):
            vaezoo.dataset(f"{known}{saved(table, tmp_path / 'x.csv')}]")
    with pytest.raises(BadData, match="does not keep apart"):
        vaezoo.dataset(str(tmp_path / "x.csv"))


def test_splits_of_recordings_of_two_rates_or_types_are_refused(tmp_path: Path):
    def sounds(split: str, rate: int, dtype: type) -> None:
        (tmp_path / split).mkdir(exist_ok=True)
        for i in range(3):
            steps = RNG.integers(-9, 9, 20).astype(dtype)
            wavfile.write(tmp_path / split / f"{i}.wav", rate, steps)

    sounds("train", 16_000, np.int16)
    sounds("test", 8_000, np.int16)
    with pytest.raises(BadData, match=r"test holds .* 8,000 Hz, int16, and train .* 16,000"):
        vaezoo.dataset(str(tmp_path))
    sounds("test", 16_000, np.float32)
    with pytest.raises(BadData, match=r"test holds .*float32, and train .*int16"):
        vaezoo.dataset(str(tmp_path))
    (tmp_path / "test" / "1.wav").replace(tmp_path / "train" / "4.wav")
    with pytest.raises(BadData, match=r"4.wav has .*float32, and 0.wav .*int16"):
        vaezoo.dataset(str(tmp_path))


def test_words_come_back_as_they_were(tmp_path: Path):
    column = Column("code", "category", ("01", "02", "3"))
    assert worded(torch.tensor([[0.0], [2.0]]), [column]).code.tolist() == ["01", "3"]
    plain = Column("code", "category", ("-1", "2", "30"))
    assert worded(torch.tensor([[0.0], [2.0]]), [plain]).code.tolist() == [-1, 30]


def test_counts_that_would_be_rounded_are_refused():
    with pytest.raises(BadData, match="expected the counts 0, 1, 2, … up to 16,777,216"):
        Column("n", "count").must_hold(torch.tensor([1.0, 2**24 + 1], dtype=torch.float64))


def test_cells_are_judged_by_the_models_own_codes(tmp_path: Path):
    n = 120
    z = RNG.normal(size=n)
    words = np.array(["x", "y", "z"])[np.digitize(z, [-0.5, 0.5])]
    table = pd.DataFrame({"a": z, "b": 2 * z + RNG.normal(size=n), "w": words})
    table.loc[::9, "a"] = np.nan
    data = vaezoo.dataset(f"table[path={saved(table, tmp_path / 'x.csv')}]")
    turned = f"table[path={saved(table[['w', 'b', 'a']], tmp_path / 'y.csv')}]"
    with seeded("weights", 0):
        model = load_registry().variants["missing"](data.spec)
    vaezoo.fit(model, data, epochs=1)
    own = vaezoo.cells_by_column(model, data)
    found = vaezoo.cells_by_column(model, vaezoo.dataset(turned))
    assert list(found.index) == ["a", "b", "w"]
    pd.testing.assert_frame_equal(own, found, atol=0.05)
    strange = table.replace({"w": {"z": "new"}})
    other = vaezoo.dataset(f"table[path={saved(strange, tmp_path / 'z.csv')}]")
    with pytest.raises(BadData, match="column 'w' has 'new'"):
        vaezoo.cells_by_column(model, other)


def ills(word: str = "none") -> pd.DataFrame:
    words = np.array([word, "mild", "moderate", "severe"])[np.arange(60) % 4]
    return pd.DataFrame({"a": RNG.normal(size=60), "ill": words})


@pytest.mark.parametrize("word", ["none", "NA", "None", "null", "?"])
def test_a_word_that_may_mark_a_gap_is_asked_about_among_words(word: str, tmp_path: Path):
    path = saved(ills(word), tmp_path / "x.csv")
    with pytest.raises(BadData, match=r"'ill' has .* in row 0 .* missing=none if it is a word"):
        vaezoo.dataset(path)
    data = vaezoo.dataset(f"table[path={path},missing=none]")
    assert word in data.reader.columns[1].words
    assert not data.spec.has_gaps
    assert values_from(path, data.reader).x[0, 1] == data.reader.columns[1].words.index(word)
    marked = vaezoo.dataset(f"table[path={path},missing={word}+{word}]")
    assert marked.reader.columns[1].words == ("mild", "moderate", "severe")
    assert marked.spec.has_gaps
    assert np.isnan(values_from(path, marked.reader).x[0, 1])
    said = vaezoo.dataset(f"table[path={path},types=ill:category]")
    assert word in said.reader.columns[1].words


def test_such_a_word_is_a_gap_among_numbers(tmp_path: Path):
    table = ills("mild").astype({"a": object})
    table.loc[3, "a"] = "NA"
    data = vaezoo.dataset(f"table[path={saved(table, tmp_path / 'x.csv')}]")
    assert data.reader.columns[0].type == "number"
    assert data.spec.has_gaps


def test_marks_are_numbers_stand_somewhere_and_are_marks_in_python_too(tmp_path: Path):
    table = ills("mild").assign(n=RNG.normal(size=60), a=np.arange(60) % 9 - 3)
    table.loc[5, "a"] = -999
    table.loc[6, "n"] = -999.0
    path = saved(table, tmp_path / "x.csv")
    data = vaezoo.dataset(f"table[path={path},missing=-999.0]")
    values = values_from(path, data.reader).x
    assert np.isnan(values[5, 0])
    assert np.isnan(values[6, 2])
    assert np.array_equal(in_order(pd.read_csv(path), data.reader), values, equal_nan=True)
    with pytest.raises(BadData, match=r"missing=-99: no cell of .* holds it"):
        vaezoo.dataset(f"table[path={path},missing=-99]")
    table.loc[7, "n"] = -9999
    with pytest.raises(BadData, match="has -9999 in 1 rows"):
        vaezoo.dataset(f"table[path={saved(table, tmp_path / 'y.csv')},missing=-999]")


def test_a_label_that_is_a_mark_is_no_class(tmp_path: Path):
    table = ills("mild").assign(k=np.array(["x", "y", "unknown"])[np.arange(60) % 3])
    with pytest.raises(BadData, match="row 2 has no k"):
        vaezoo.dataset(f"table[path={saved(table, tmp_path / 'x.csv')},label=k,missing=unknown]")


def test_a_mark_of_arrays_stands_somewhere(tmp_path: Path):
    table = wine().drop(columns="k")
    table.loc[3, "a"] = -999
    path = saved(table, tmp_path / "x.csv")
    assert vaezoo.dataset(f"{path}[gaps=true,missing=-999]").spec.has_gaps
    with pytest.raises(BadData, match=r"missing=-99: no value of .* is it"):
        vaezoo.dataset(f"{path}[gaps=true,missing=-999+-99]")


def of_classes(kinds: str, path: Path) -> vaezoo.data.Data:
    table = wine().assign(k=np.array(list(kinds))[np.arange(40) % len(kinds)])
    return vaezoo.dataset(f"{saved(table, path)}[label=k]")


def test_labels_of_another_file_are_numbered_as_in_training(tmp_path: Path):
    known = of_classes("xyz", tmp_path / "one.csv")
    other = of_classes("xz", tmp_path / "two.csv")
    model = load_registry().variants["cvae"](known.spec)
    model.data_reader = known.reader
    where = {"split": "train", "plugins_dir": None, "data_dirs": (), "offline": True}
    rows = rows_of(model, f"{tmp_path}/two.csv[label=k]", **where)
    assert rows.labels.tolist() == (2 * other.labels["train"]).tolist()
    assert rows.c.argmax(1).tolist() == rows.labels.tolist()
    assert rows.c.shape[1] == 3

    strange = f"{tmp_path}/three.csv[label=k]"
    of_classes("xw", tmp_path / "three.csv")
    with pytest.raises(BadData, match=r"class 'w', and this model knows x, y, z"):
        rows_of(model, strange, **where)
    deaf = load_registry().variants["vae"](known.spec)
    deaf.data_reader = known.reader
    assert set(rows_of(deaf, strange, **where).labels.tolist()) == {0, 1}


def test_pairs_of_whole_numbers_are_pairs_for_a_model_of_two_columns(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text("1,5\n2,7\n9,8\n")
    assert values_from(path, Reader(names=("c0", "c1"))).x.tolist() == [[1, 5], [2, 7], [9, 8]]
    with pytest.raises(BadData, match="two numbers, or one with a decimal comma"):
        values_from(path, Reader(names=("c0",)))
