"""A user's own data: every good form is read, every bad one is refused in one sentence."""

import numpy as np
import pandas as pd
import pytest
import torch

from vaezoo.data.files import BadData, MissingData
from vaezoo.data.sources.arrays import arrays
from vaezoo.registry.registry import load_registry

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(40, 3))


@pytest.fixture
def save(tmp_path):
    """Saves an array as .npy, a dictionary as .npz, a list as unnamed .npz, a table or text as
    .csv; gives the path.
    """

    def save(what, name="data"):
        path = tmp_path / name
        if isinstance(what, np.ndarray):
            np.save(path := path.with_suffix(".npy"), what, allow_pickle=what.dtype == object)
        elif isinstance(what, dict):
            np.savez(path := path.with_suffix(".npz"), **what)
        elif isinstance(what, list):
            np.savez(path := path.with_suffix(".npz"), *what)
        elif isinstance(what, pd.DataFrame):
            what.to_csv(path := path.with_suffix(".csv"), index=False)
        else:
            (path := path.with_suffix(".csv")).write_text(what)
        return str(path)

    return save


def test_vectors_are_split_by_a_fixed_seed(save):
    data = arrays(save(VECTORS), standardise=False)
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 6, 6)
    assert data.spec.shape == (3,)
    assert data.spec.likelihood == "normal"
    assert data.hashes == arrays(save(VECTORS), standardise=False).hashes
    together = torch.cat([data.train, data.validation, data.test])
    assert torch.equal(together.sort(0).values, torch.from_numpy(VECTORS).float().sort(0).values)


def test_zeros_and_ones_are_bernoulli_unless_said_otherwise(save):
    path = save((VECTORS > 0).astype(np.int8))
    assert arrays(path).spec.likelihood == "bernoulli"
    assert arrays(path, likelihood="normal").spec.likelihood == "normal"


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, ">f8"])
def test_every_type_of_real_number_becomes_float32(save, dtype):
    data = arrays(save((VECTORS > 0).astype(dtype)))
    assert data.train.dtype == torch.float32
    assert set(data.train.unique().tolist()) == {0.0, 1.0}


def test_images_of_bytes_are_scaled_to_the_unit_interval(save):
    pixels = RNG.integers(0, 256, (10, 9, 8), dtype=np.uint8)
    data = arrays(save(pixels), likelihood="logistic")
    assert data.spec.shape == (1, 9, 8)
    assert data.train.min() >= 0
    assert data.train.max() <= 1
    together = torch.cat([data.train, data.validation, data.test]).squeeze(1)
    assert torch.equal(
        (together * 255).round().double().sum(0), torch.from_numpy(pixels).double().sum(0)
    )
    assert "value/255" in data.card.processing


def test_bytes_that_are_0_or_1_are_not_scaled(save):
    data = arrays(save(RNG.integers(0, 2, (10, 1, 8, 8), dtype=np.uint8)))
    assert data.spec.likelihood == "bernoulli"
    assert data.train.max() == 1


def test_large_images_are_read_by_convolutions(save):
    assert arrays(save(np.zeros((5, 3, 32, 32), dtype=np.uint8))).spec.network == "conv"


def test_given_splits_and_labels_are_kept(save):
    path = save(
        {
            "train": VECTORS,
            "test": VECTORS[:5],
            "train_labels": np.arange(40) % 4 * 10,
            "test_labels": np.full(5, 30),
        }
    )
    data = arrays(path)
    assert (len(data.train), len(data.validation), len(data.test)) == (34, 6, 5)
    assert data.spec.classes == 4
    assert data.labels["test"].tolist() == [3] * 5
    assert data.duplicates == sum(
        any((row == other).all() for other in data.train) for row in data.test
    )


def test_three_given_splits_are_not_touched(save):
    parts = {"train": VECTORS[:20], "validation": VECTORS[20:30], "test": VECTORS[30:]}
    data = arrays(save(parts), standardise=False)
    assert torch.equal(data.train, torch.from_numpy(VECTORS[:20]).float())
    assert data.split_hash == ""


def test_labels_follow_their_rows_through_the_split(save):
    x = np.repeat(np.arange(30.0)[:, None], 2, 1)
    data = arrays(save({"x": x, "labels": np.arange(30) % 3}), standardise=False)
    for split in ("train", "validation", "test"):
        assert (data.split(split)[:, 0].long() % 3 == data.labels[split]).all()


def test_sequences_of_different_lengths_are_padded(save):
    data = arrays(save([RNG.normal(size=(t, 2)) for t in (3, 5, 4, 2, 5, 1)]))
    assert data.spec.shape == (5, 2)
    assert data.spec.has_gaps
    assert data.spec.network == "rnn"
    lengths = torch.cat(
        [(~data.split(s)[..., 0].isnan()).sum(1) for s in ("train", "validation", "test")]
    )
    assert sorted(lengths.tolist()) == [1, 2, 3, 4, 5, 5]


def test_a_long_table_gives_a_sequence_an_id_in_the_order_of_time(save):
    rows = [(i, t, 10.0 * i + t) for i in range(5) for t in range(i + 2)]
    table = pd.DataFrame(rows, columns=["id", "time", "value"]).sample(frac=1, random_state=0)
    data = arrays(save(table), standardise=False)
    everything = torch.cat([data.train, data.validation, data.test])
    row = everything[(everything[:, 0, 0] == 30).nonzero().item(), :, 0]
    assert row[:5].tolist() == [30, 31, 32, 33, 34]
    assert row[5:].isnan().all()


def test_times_are_ordered_as_dates_and_not_as_text(save):
    rows = [("2024-10-01", 2), ("2024-09-30T23:59", 1), ("2024-10-01T00:01", 3)]
    data = arrays(
        save("id,time,a\n" + "".join(f"{i},{time},{a}\n" for i in range(9) for time, a in rows)),
        standardise=False,
    )
    assert torch.equal(data.test[0, :, 0], torch.tensor([1.0, 2, 3]))


def test_gaps_in_a_list_are_kept_where_they_are_declared_and_padding_needs_no_word(save):
    gap, long = np.array([[1.0], [np.nan], [3]]), np.ones((5, 1))
    data = arrays(save([gap, long] * 6), gaps=True)
    assert data.spec.has_gaps
    assert arrays(save([gap[:1], long] * 6)).spec.has_gaps


def test_a_table_of_vectors_takes_its_labels_from_a_column(save):
    table = pd.DataFrame(VECTORS, columns=list("abc")).assign(label=[0, 1] * 20)
    data = arrays(save(table))
    assert data.spec.shape == (3,)
    assert data.spec.classes == 2


def test_declared_gaps_are_kept_as_nan(save):
    x = VECTORS.reshape(10, 4, 3).copy()
    x[2, 3:] = np.nan
    data = arrays(save(x), gaps=True)
    assert data.spec.has_gaps
    assert data.spec.is_sequence
    assert sum(data.split(s).isnan().sum() for s in ("train", "validation", "test")) == 3


def test_standardising_uses_the_training_rows_alone(save):
    data = arrays(
        save({"train": VECTORS, "validation": VECTORS * 9, "test": VECTORS + 5}), standardise=True
    )
    assert data.train.mean(0).abs().max() < 1e-6
    assert (data.train.std(0, correction=0) - 1).abs().max() < 1e-6
    assert data.validation.std() > 5
    assert "standardised" in data.card.processing


def test_real_columns_are_standardised_unless_one_says_no_and_come_back(save):
    path = save(VECTORS * [1.0, 1e6, 1e-3] + [0.0, 5e6, 7.0])
    data = arrays(path)
    assert data.train.mean(0).abs().max() < 1e-5
    assert (data.train.std(0, correction=0) - 1).abs().max() < 1e-5
    assert data.reader is not None
    raw = arrays(path, standardise=False)
    assert raw.reader is not None
    assert not raw.reader.moves_values
    assert torch.allclose(data.reader.back(data.test), raw.test.double(), rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "options"),
    [
        ((VECTORS > 0) * 1.0, {}),
        (np.abs(VECTORS).round(), {"likelihood": "poisson"}),
        (np.abs(VECTORS) / 9, {"likelihood": "continuous_bernoulli"}),
        (RNG.random((9, 1, 8, 8)), {}),
        (RNG.integers(0, 256, (9, 8, 8), dtype=np.uint8), {}),
    ],
    ids=["bits", "counts", "shares", "pictures", "bytes"],
)
def test_what_has_a_scale_of_its_own_is_not_standardised(save, x, options):
    load_registry()  # which brings the likelihood of counts
    data = arrays(save(x), **options)
    assert data.train.min() >= 0


def test_times_in_seconds_keep_every_second(save):
    """As float32 sixty seconds since 1970 are one number."""
    x = np.stack([1.7e9 + np.arange(60), np.arange(60.0)], 1)
    data = arrays(save(x))
    everything = torch.cat([data.train, data.validation, data.test])
    assert len(everything[:, 0].unique()) == 60
    back = data.reader.back(data.train)
    assert (back[:, 0] - 1.7e9 - back[:, 1]).abs().max() < 1e-4


def test_the_card_says_in_which_units_the_density_is(save):
    data = arrays(save(VECTORS * 100))
    assert "of the values as given -" in data.card.processing
    assert "value/255" in arrays(save(np.full((9, 2, 2), 7, np.uint8))).card.processing


def test_the_same_values_in_another_file_are_the_same_data_and_in_other_units_not(save):
    registered = load_registry().datasets["arrays"]
    one = registered.load(path=save(VECTORS, "one"))
    two = registered.load(path=save(VECTORS, "two"))
    assert (one.identity, one.hashes) == (two.identity, two.hashes)
    assert one.name != two.name
    other = registered.load(path=save(VECTORS * 1024, "three"))  # the same x, to the bit
    assert torch.equal(other.train, one.train)
    assert other.hashes != one.hashes


def test_labels_may_be_words_and_any_numbers(save):
    words = np.array(["setosa", "iris", "setosa", "x"] * 10)
    data = arrays(save({"x": VECTORS, "labels": words}))
    assert data.spec.classes == 3
    assert data.reader.classes == ("iris", "setosa", "x")
    signs = arrays(save({"x": VECTORS, "labels": np.array([-1, 1] * 20)}))
    assert signs.reader.classes == ("-1", "1")
    assert set(signs.labels["train"].tolist()) == {0, 1}


def with_value(value, row=3, column=1, like=VECTORS):
    x = like.copy()
    x[row, column] = value
    return x


ABSENT = np.where(np.arange(5)[:, None, None] == 2, np.nan, np.ones((5, 3, 2)))
HALF_LABELLED = {"train": VECTORS, "test": VECTORS, "train_labels": np.zeros(40, int)}

RAGGED = np.array([[1.0, 2], [np.nan, 3], [4, 5]])
SHORTER = {"train": np.ones((9, 5, 2)), "test": np.ones((9, 4, 2))}
NOTHING = {"train": np.ones((9, 5, 2)), "validation": np.full((9, 5, 2), np.nan)}
GAP = "id,time,a,b\n7,1,2,3\n9,1,2,\n9,2,1,1\n"
WORD = "id,time,a\n1,9,2\n1,10,3\n1,later,3\n"

BAD = {
    "NaN": (with_value(np.nan), {}, "NaN in row 3, column 1"),
    "infinite": (with_value(np.inf), {}, "infinite value .* in row 3, column 1"),
    "too large": (with_value(1e300), {}, "too large for float32"),
    "not binary": (
        with_value(0.5, like=(VECTORS > 0) * 1.0), {"likelihood": "bernoulli"},
        "0.5 in row .* needs 0 and 1",
    ),
    "not in [0, 1]": (VECTORS, {"likelihood": "continuous_bernoulli"}, r"needs \[0, 1\]"),
    "no level": (np.full((9, 2), 0.3333), {"likelihood": "logistic"}, "needs the levels"),
    "one row": (VECTORS[:1], {}, "1 row for training; at least 3"),
    "two rows": (VECTORS[:2], {}, "2 rows for training; at least 3"),
    "no rows": (VECTORS[:0], {}, "no rows"),
    "no columns": (VECTORS[:, :0], {}, "no numbers"),
    "sequences of length 0": (np.zeros((5, 0, 2)), {}, "length 0"),
    "an all-NaN sequence": (ABSENT, {"gaps": True}, "row 2 is all NaN"),
    "one dimension": (VECTORS[:, 0], {}, r"shape \(40,\)"),
    "five dimensions": (np.zeros((4, 1, 2, 2, 2)), {}, "shape"),
    "complex": (VECTORS.astype(complex), {}, "complex128"),
    "strings": (VECTORS.astype(str), {}, "expected real numbers"),
    "dates": (np.zeros((5, 2), dtype="datetime64[s]"), {}, "datetime64"),
    "objects": (VECTORS.astype(object), {}, "plain numbers"),
    "sequence or image": (np.zeros((5, 4, 3)), {}, "say kind=sequence or kind=image"),
    "vectors as images": (VECTORS, {"kind": "image"}, "can be vector"),
    "channels last": (np.zeros((5, 8, 8, 3)), {}, "channels last"),
    "unknown names": ({"foo": VECTORS}, {}, "holds foo; expected train"),
    "x and splits": ({"x": VECTORS, "test": VECTORS}, {}, "give either"),
    "shapes differ": ({"train": VECTORS, "test": VECTORS[:, :2]}, {}, "one x of test has shape"),
    "labels of one split": (HALF_LABELLED, {}, "for every split or for none"),
    "too few labels": ({"x": VECTORS, "labels": np.zeros(7, int)}, {}, "one label a row"),
    "fractional labels": ({"x": VECTORS, "labels": np.full(40, 0.5)}, {}, "whole numbers"),
    "a class or none": (
        {"x": VECTORS, "labels": np.arange(40) % 3 - 1}, {},
        "labels -1, 0 and 1: where -1 is a class write the classes as words, where it is no label",
    ),
    "one class and rows without": (
        {"x": VECTORS, "labels": np.arange(40) % 2 * 4 - 1}, {}, "one class only, 3",
    ),
    "no labels to test by": (
        {"train": VECTORS, "test": VECTORS, "train_y": np.arange(40) % 4 - 1,
         "test_y": np.full(40, -1)}, {}, r"\(test\) has no row with a label",
    ),
    "labels lacking in test alone": (
        {"train": VECTORS, "test": VECTORS, "train_y": np.arange(40) % 3,
         "test_y": np.arange(40) % 4 - 1}, {}, "rows labelled -1 in test and none to train on",
    ),
    "one class": ({"x": VECTORS, "labels": np.ones(40, int)}, {}, "one class only, 1"),
    "names as labels": ({"x": VECTORS, "labels": np.arange(40)}, {}, "as many different labels"),
    "a mark": (
        with_value(-999.0), {},
        r"column 1 has -999 in 1 rows, far from all other values; if it marks .* missing=-999",
    ),
    "grey values in floating point": (
        np.full((9, 1, 8, 8), 200.0), {},
        "values up to 200 that are no bytes",
    ),
    "channels first or last": (
        np.zeros((9, 3, 8, 3), np.uint8), {},
        "say channels=first or channels=last",
    ),
    "an empty sequence": ([np.ones((3, 2)), np.ones((0, 2))], {}, "sequence 1 has length 0"),
    "sequences of two widths": ([np.ones((3, 2)), np.ones((3, 1))], {}, "one C"),
    "sequences of strings": ([np.full((3, 2), "a"), np.full((2, 2), "a")], {}, "expected numbers"),
    "a word among numbers": ("a,b\n1,2\n3,x\n5,6\n", {}, "column 'b' .* 'x' in row 1"),
    "an empty cell": ("a,b\n1,2\n3,\n5,6\n", {}, "NaN in row 1, column 1"),
    "a header alone": ("a,b\n", {}, "has no rows"),
    "no text": ("\n\n", {}, "no CSV file"),
    "id without time": ("id,a\n1,2\n", {}, "id alone"),
    "one time twice": ("id,time,a\n1,1,2\n1,1,3\n", {}, "time 1.* twice"),
    "a gap inside a sequence of a list": (
        [RAGGED, np.ones((2, 2))], {},
        "NaN in row 0, step 1, channel 0",
    ),
    "a gap at the end of a sequence of a list": (
        [RAGGED[:2], np.ones((4, 2))], {},
        "NaN in row 0, step 1, channel 0",
    ),
    "all NaN in a list": (
        [np.ones((4, 2)), RAGGED * np.nan], {"gaps": True},
        "row 1 is all NaN, an x of length 0",
    ),
    "infinite in a list": (
        [np.ones((4, 2)), RAGGED * np.inf], {},
        "infinite value .* in row 1, step 0, channel 0",
    ),
    "a list of vectors": (
        [np.ones(4), np.ones(4)], {},
        r"sequence 0 has shape \(4,\); expected \(T, C\), a step a row",
    ),
    "splits of two lengths": (
        SHORTER, {"kind": "sequence"},
        r"\(4, 2\), of train \(5, 2\); pad with NaN to one length",
    ),
    "a validation split of nothing": (
        NOTHING, {"kind": "sequence", "gaps": True},
        r"\(validation\): row 0 is all NaN",
    ),
    "a gap in a long table": (GAP, {}, "NaN in the sequence of id 9, step 0, channel 1"),
    "infinite in a long table": (
        "id,time,a\n7,1,2\n9,1,inf\n9,2,1\n", {},
        "infinite .* in the sequence of id 9, step 0",
    ),
    "nothing of an id": (
        "id,time,a\n7,1,2\n9,1,\n9,2,\n", {"gaps": True},
        "the sequence of id 9 is all NaN",
    ),
    "a word as time": (WORD, {}, "'time' has 'later' in row 2; expected numbers, or dates"),
    "a missing time": ("id,time,a\n1,1,2\n1,,3\n", {}, "row 1 has no time"),
    "two labels in a sequence": ("id,time,a,label\n1,1,2,0\n1,2,3,1\n", {}, "several labels"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_refused_in_one_sentence(save, case):
    what, options, words = BAD[case]
    path = save(what)
    with pytest.raises(BadData, match=words) as caught:
        arrays(path, **options)
    assert "\n" not in str(caught.value)
    assert "data" in str(caught.value)  # names the file


def test_a_file_that_is_not_there_or_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(MissingData, match="there is no file"):
        arrays(str(tmp_path / "x.npy"))
    (tmp_path / "x.pkl").write_bytes(b"x")
    with pytest.raises(BadData, match=r"\.npy, \.npz, \.csv, .*\.parquet, .*folders"):
        arrays(str(tmp_path / "x.pkl"))
    (tmp_path / "x.npy").touch()
    with pytest.raises(BadData, match="is empty"):
        arrays(str(tmp_path / "x.npy"))


def test_parquet_is_read_or_says_what_it_needs(tmp_path):
    path = tmp_path / "x.parquet"
    try:
        pd.DataFrame(VECTORS, columns=list("abc")).to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(BadData, match="needs pyarrow"):
            arrays(str(path))
    else:
        assert arrays(str(path)).spec.shape == (3,)
