"""Tables of mixed columns: types are guessed or said, values come back as they were, and what is no
value of a column is one sentence.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import vaezoo
from vaezoo.cli import vaezoo as program
from vaezoo.core import Unsupported
from vaezoo.data.again import values_from
from vaezoo.data.card import card_of
from vaezoo.data.coding import worded
from vaezoo.data.files import BadData
from vaezoo.data.reader import Reader
from vaezoo.likelihoods import head
from vaezoo.registry.registry import load_registry
from vaezoo.seeds import seeded
from vaezoo.use import placed


def people(n: int = 120) -> pd.DataFrame:
    g = np.random.default_rng(0)
    z = g.normal(size=n)
    table = pd.DataFrame(
        {
            "person": [f"p{i:03d}" for i in range(n)],
            "height": np.round(170 + 8 * z, 1),
            "income": np.round(np.exp(10 + z), 2),
            "visits": g.poisson(np.exp(1 + 0.8 * z)),
            "smoker": np.where(z < 0, "yes", "no"),
            "size": np.array(["S", "M", "L", "XL"])[np.digitize(z, [-1, 0, 1])],
            "city": np.array(["Oslo", "Rome", "Kyoto"])[g.integers(0, 3, n)],
            "grade": np.clip(np.round(3 + z), 1, 5).astype(int),
            "change": np.round(z, 2),
        }
    )
    gaps = g.random(table.shape) < 0.1
    gaps[:, 0] = False
    table = table.mask(gaps)
    table[["visits", "grade"]] = table[["visits", "grade"]].astype("Int64")
    return table.assign(outcome=np.where(z > 0, "well", "ill"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "people.csv"
    people().to_csv(path, index=False)
    return path


def read(path, **options):
    known = load_registry().datasets["table"]
    return known.load(None, path=str(path), **{"id": "person", "label": "outcome", **options})


def types_of(data) -> dict[str, str]:
    return {column.name: column.type for column in data.reader.columns}


def test_types_are_guessed(file):
    data = read(file)
    assert types_of(data) == {
        "height": "number",
        "income": "amount",
        "visits": "count",
        "smoker": "yesno",
        "size": "ordinal",
        "city": "category",
        "grade": "ordinal",
        "change": "number",
    }
    assert data.spec.likelihood == data.reader.likelihood
    assert data.spec.has_gaps
    assert data.spec.classes == 2
    assert data.spec.shape == (1 + 1 + 1 + 1 + 3 + 3 + 4 + 1,)
    data.must_be_sound("train", "validation", "test")
    data.must_fit()


GUESSES = {
    "number": [[1.5, -2.5, 3.0], [1900, 1950, 2000, 1980], [-1, 0, 1], [7, 7, 7]],
    "amount": [[0.5, 1.1, 40.2, 3.3, 900.4], [1e-3, 0.2, 30.5, 7000.1]],
    "count": [[0, 1, 0, 2, 0, 9], [0, 40, 1, 3000]],
    "yesno": [[0, 1, 1], ["a", "b", "a"], [True, False, True], [1, 2, 1], ["yes", "no", None]],
    "category": [["a", "b", "c"], ["Oslo", "Rome", "Bern", "Oslo"]],
    "ordinal": [
        [1, 2, 5, 3],
        ["low", "high", "medium"],
        ["S", "XL", "M", "M"],
        ["Strongly agree", "disagree", "agree"],
    ],
}


@pytest.mark.parametrize("kind", GUESSES)
def test_what_columns_look_like(kind, tmp_path):
    for values in GUESSES[kind]:
        table = pd.DataFrame({"a": values * 4, "b": np.linspace(-1.5, 2, 4 * len(values))})
        table.to_csv(tmp_path / "x.csv", index=False)
        data = load_registry().datasets["table"].load(None, path=str(tmp_path / "x.csv"))
        assert types_of(data)["a"] == kind, values


def test_types_that_are_said_count(file):
    said = "height:amount+visits:number+grade:category+city:Rome<Oslo<Kyoto+smoker:category"
    data = read(file, types=said)
    found = {column.name: column for column in data.reader.columns}
    assert types_of(data)["height"] == "amount"
    assert found["city"].words == ("Rome", "Oslo", "Kyoto")
    assert found["city"].type == "ordinal"
    assert found["grade"].words == ("1", "2", "3", "4", "5")
    assert found["smoker"].type == "category"


def test_columns_are_chosen(file):
    data = read(file, columns="city+height")
    assert data.reader.names == ("height", "city")
    assert "income" in data.reader.left_out
    assert (
        read(file, drop="income").reader.names
        == read(file).reader.names[:1] + (read(file).reader.names[2:])
    )


def test_values_come_back_as_they_were(file):
    data = read(file)
    raw = values_from(file, data.reader)
    x = placed(raw, data.spec, data.reader, "people.csv")
    back = worded(data.reader.back(x), data.reader.columns)
    table = people()[list(back)]
    for name in back:
        if back[name].dtype == object:
            assert back[name].where(back[name].notna(), "").tolist() == (
                table[name].where(table[name].notna(), "").tolist()
            )
        else:
            expected = table[name].to_numpy(dtype=float, na_value=np.nan)
            found = back[name].to_numpy(dtype=float, na_value=np.nan)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    own = torch.cat([data.train, data.validation, data.test])
    assert torch.equal(x.nan_to_num(-9).sort(0).values, own.nan_to_num(-9).sort(0).values)


def test_a_reader_survives_json(file):
    import json

    reader = read(file).reader
    again = Reader.from_json(json.loads(json.dumps(reader.as_json())))
    assert again == reader
    again.must_suit(read(file).spec, "it")


def test_log_p_of_values_is_the_density_in_their_units(file):
    """log p(value) by finite differences of x."""
    reader = read(file, columns="height+income").reader
    values = torch.tensor([[171.0, 25_000.0]], dtype=torch.float64)
    found = reader.log_jacobian(reader.read(values, torch.float64))
    expected = 0.0
    for i, step in enumerate((1e-4, 1e-2)):
        moved = values.clone()
        moved[0, i] += step
        low = values.clone()
        low[0, i] -= step
        up = reader.read(moved, torch.float64)[0, i] - reader.read(low, torch.float64)[0, i]
        expected += float((up / (2 * step)).log())
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_the_card_shows_types_words_and_gaps(file):
    columns = card_of(read(file))["columns"]
    assert columns["size"].startswith("ordinal: S (")
    assert "< M (" in columns["size"]
    assert columns["city"].startswith("category: Kyoto (")
    assert columns["smoker"].startswith("yes or no: no (")
    assert columns["income"].startswith("amount above 0, ")
    assert "gaps" in columns["visits"]


def test_a_word_of_no_training_row_is_said(tmp_path):
    table = pd.DataFrame({"a": ["x", "y", "z"] * 20, "b": np.linspace(-1.1, 1, 60)})
    path = tmp_path / "x.csv"
    table.to_csv(path, index=False)
    data = load_registry().datasets["table"].load(None, path=str(path))
    held_out = data.reader.back(data.test)[:, 1]
    row = int((torch.tensor(table.b.to_numpy()) - held_out[0]).abs().argmin())
    table.loc[row, "a"] = "new"
    table.to_csv(path, index=False)
    data = load_registry().datasets["table"].load(None, path=str(path))
    assert any("'new'" in note and "none is for training" in note for note in data.card.notes)


CHANGED = {
    "a word that no training row had": ("city", "Bergen", "column 'city' has 'Bergen' in row 3"),
    "a word among numbers": ("height", "tall", "column 'height' has 'tall' in row 3"),
    "an amount below 0": ("income", -5.0, "'income' of type amount has -5"),
    "half a count": ("visits", 2.5, "'visits' of type count has 2.5"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_another_file_is_refused_where_its_values_are_none_of_the_columns(what, file, tmp_path):
    name, value, said = CHANGED[what]
    table = people().astype(object)
    table.loc[3, name] = value
    table.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(BadData, match=said):
        values_from(tmp_path / "new.csv", read(file).reader)


REFUSED = {
    "drop=nothing": ({"drop": "nothing"}, "drop=nothing: .* has no such column"),
    "no type": ({"types": "city:word"}, "no type 'word'"),
    "no column": ({"types": "town:category"}, "no such column"),
    "no colon": ({"types": "city"}, "expected NAME:TYPE"),
    "words as numbers": ({"types": "city:count"}, "expected numbers"),
    "three are no yes or no": ({"types": "city:yesno"}, "needs two"),
    "an order is needed": ({"types": "city:ordinal"}, "say it: types=city:Kyoto<Oslo<Rome"),
    "an order that lacks one": ({"types": "city:Oslo<Rome"}, "has 'Kyoto' in row"),
    "names of rows": ({"id": ""}, "names, dates or texts"),
    "no amount": ({"types": "change:amount"}, "expected numbers above 0"),
    "no count": ({"types": "change:count"}, "expected the counts"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_said_wrongly_is_one_sentence(what, file):
    options, said = REFUSED[what]
    with pytest.raises(BadData, match=said) as refused:
        read(file, **options)
    assert "\n" not in str(refused.value)


def test_words_that_mark_gaps_are_said(file, tmp_path):
    table = people().astype(object)
    table.loc[5, "height"] = "unknown"
    table.loc[6, "city"] = "unknown"
    path = tmp_path / "marked.csv"
    table.to_csv(path, index=False)
    with pytest.raises(BadData, match="say missing=unknown if it marks a gap"):
        read(path)
    data = read(path, missing="unknown")
    assert types_of(data) == types_of(read(file))
    raw = values_from(path, data.reader)
    assert np.isnan(raw.x[5, 0])
    assert np.isnan(raw.x[6, 5])


def test_the_same_rows_elsewhere_are_the_same_data(file, tmp_path):
    copy = tmp_path / "elsewhere" / "copy.csv"
    copy.parent.mkdir()
    people().to_csv(copy, index=False)
    assert read(file).hashes == read(copy).hashes
    assert read(file).identity == read(copy).identity


def test_a_likelihood_of_its_own_is_refused(file):
    data = read(file)
    known = load_registry().variants
    with seeded("weights", 0):
        model = known["gamma"](data.spec)
    with pytest.raises(BadData, match="brings a likelihood of its own"):
        data.must_fit(model)
    data.must_fit(known["vae"](data.spec))


def test_every_variant_for_vectors_takes_a_step_on_mixed_columns(file):
    """Or says why not, before training."""
    data = read(file)
    x = data.train[:8]
    c = data.condition("train")[:8]
    took = []
    for name, variant in load_registry().variants.items():
        if name == "mix" or any(h.required for h in variant.hyperparameters.values()):
            continue
        try:
            with seeded("weights", 0):
                model = variant(data.spec)
            data.must_fit(model)
        except (Unsupported, BadData):
            continue
        with seeded("step", 0):
            loss = model.train()(x, c if data.spec.classes else None, 0.5)["loss"]
        assert loss.isfinite(), name
        loss.backward()
        took.append(name)
    assert len(took) > 60
    assert {"vae", "iwae", "missing", "beta", "vq", "linear"} - {"linear"} <= set(took)


def test_the_verbs_of_python_speak_in_words(file):
    data = read(file)
    with seeded("weights", 0):
        model = load_registry().variants["missing"](data.spec)
    vaezoo.fit(model, data, epochs=2)
    table = people()
    full = vaezoo.impute(model, table, draws=10)
    assert list(full) == list(data.reader.names)
    assert not full.isna().any().any()
    there = table["city"].notna()
    assert (full["city"][there] == table["city"][there]).all()
    assert full["height"][table["height"].notna()].equals(
        table["height"][table["height"].notna()].astype(float)
    )
    assert set(full["city"]) <= {"Oslo", "Rome", "Kyoto"}
    drawn = vaezoo.sample(model, 20)
    assert set(drawn["size"]) <= {"S", "M", "L", "XL"}
    assert (drawn["income"] > 0).all()
    assert drawn["visits"].dtype == "Int64"
    (codes,) = vaezoo.encode(model, table)
    assert codes.shape == (120, data.spec.latent)
    assert np.isfinite(vaezoo.log_prob(model, table, draws=5)).all()
    means = vaezoo.reconstruct(model, table)
    assert set(means["smoker"]) <= {"yes", "no"}


def test_all_laws_hold_what_the_reader_reads(file):
    data = read(file)
    assert head(data.spec).holds(data.train).all()


def test_holes_are_not_cut_into_words(file):
    with pytest.raises(BadData, match="the metric `cells` hides and fills its cells"):
        vaezoo.dataset(f"holes[of='table[path={file},id=person]']")


def test_the_verbs_write_the_words_and_names_of_the_file(file, tmp_path):
    def run(*words):
        result = CliRunner().invoke(program, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return result.output

    data = f"{file}[id=person,label=outcome]"
    model = tmp_path / "m.safetensors"
    run("train", "missing", "-d", data, "-o", model, "--epochs", 2)
    table = people()

    said = run("impute", model, file, "-o", tmp_path / "full.csv", "-k", 5)
    full = pd.read_csv(tmp_path / "full.csv")
    assert list(full) == ["person", "outcome", *list(table)[1:-1]]
    assert f"{int(table.isna().sum().sum())} of {8 * len(table)} entries were filled" in said
    assert not full.isna().any().any()
    assert (full.person == table.person).all()
    assert (full.outcome == table.outcome).all()
    there = table.city.notna()
    assert (full.city[there] == table.city[there]).all()

    run("sample", model, "-n", 9, "-o", tmp_path / "new.csv")
    new = pd.read_csv(tmp_path / "new.csv")
    assert list(new) == list(table)[1:-1]
    assert set(new["size"]) <= {"S", "M", "L", "XL"}
    run("reconstruct", model, "-d", file, "-n", 3, "-o", tmp_path / "means.csv")
    assert list(pd.read_csv(tmp_path / "means.csv").person) == list(table.person[:3])
    run("score", model, "-d", file, "-o", tmp_path / "scores.csv", "-k", 5)
    assert list(pd.read_csv(tmp_path / "scores.csv"))[:3] == ["person", "outcome", "log_p"]
    run("encode", model, "-d", file, "-o", tmp_path / "codes.csv")
    assert len(pd.read_csv(tmp_path / "codes.csv")) == len(table)

    refused = CliRunner().invoke(program, ["sample", str(model), "-o", str(tmp_path / "x.npz")])
    assert refused.exit_code == 2
    assert "write .csv" in refused.output
