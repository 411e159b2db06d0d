"""Hunts over files of values: tables of text, arrays, archives, packed files, and the way back."""

import csv
import gzip
import io
import json
import math
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import assume, given, strategies as st
from PIL import Image

from tests.attack.hunts.words import must_be_sentence, mutated, texts
from vaezoo.data.archives import named
from vaezoo.data.asked import DECIMALS, SEPARATORS, Asked
from vaezoo.data.data import Card
from vaezoo.data.dialect import MISSING
from vaezoo.data.files import BadData, CorruptData, decompressed
from vaezoo.data.folders import pictures
from vaezoo.data.formats import idx, npy, npz
from vaezoo.data.own import own_data
from vaezoo.data.reader import LAYOUTS, Reader, fitted
from vaezoo.data.tables import from_text

CARD = Card("hunt", "made here", "none", "none")
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
NUMBERS = st.one_of(
    FINITE,
    st.floats(-1e3, 1e3),
    st.integers(-(2**40), 2**40).map(float),
    st.integers(-9999, 9999).map(lambda n: n / 1000),
)
NAMES = st.lists(
    st.from_regex(r"[a-z][a-z0-9 _]{0,6}[a-z]", fullmatch=True), min_size=1, max_size=4, unique=True
).filter(lambda names: not {"id", "time", "label"} & set(names))


def rows_of(width, most=6, cell=NUMBERS):
    return st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=most)


TABLES = NAMES.flatmap(lambda names: st.tuples(st.just(names), rows_of(len(names))))


def written(number, decimal):
    """As a program of that country writes it."""
    text = str(int(number)) if number == int(number) and abs(number) < 2**40 else repr(number)
    return text.replace(".", DECIMALS[decimal])


@given(
    TABLES,
    st.sampled_from(sorted(SEPARATORS)),
    st.sampled_from(sorted(DECIMALS)),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_is_read_as_it_was_written_or_asked_about(
    table, separator, decimal, has_names, encoding, end
):
    names, rows = table
    assume(separator != "space" or not any(" " in name for name in names))
    assume((separator, decimal) != ("comma", "comma"))
    lines = [names] * has_names + [[written(cell, decimal) for cell in row] for row in rows]
    mark = SEPARATORS[separator]
    content = end.join(mark.join(line) for line in lines).encode(encoding)
    try:
        raw = from_text(content, Asked(), "it")
    except BadData as error:
        must_be_sentence(error)
        # what is said is not asked about again
        said = Asked(
            separator=separator, decimal=decimal, header=str(has_names).lower(), index="false"
        )
        raw = from_text(content, said, "it")
    np.testing.assert_array_equal(raw.x, np.array(rows))
    assert raw.names == (tuple(names) if has_names else tuple(f"c{i}" for i in range(len(names))))


WORDS = {"true": 1.0, "false": 0.0}
CELLS = st.one_of(
    NUMBERS.map(str),
    st.sampled_from([
        "0", "1", "", "nan", "inf", "-inf", "x", "1e400", '"', "'", "=1+1", "\r", "é", " 1", "0x1",
        "1_0", "TRUE", "false", "None", "2024-01-01", "1,5", "1.234", "+3", ".5", "5.", "1e5", "٣",
        "-", "1 000", "1d5", "#N/A", "-1.#IND", "00012", "9" * 400, "1e-400", "\x1f", "\x85",
    ]),
    texts.filter(lambda text: "\0" not in text),
)  # fmt: skip


@given(NAMES.flatmap(lambda names: st.tuples(st.just(names), rows_of(len(names), 5, CELLS))))
def test_every_value_of_a_table_is_the_number_that_stands_there(table):
    names, rows = table
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([names, *rows])
    content = file.getvalue().encode("utf-8", "replace")
    said = Asked(separator="comma", decimal="point", header="true", index="false")
    try:
        raw = from_text(content, said, "it")
    except BadData as error:
        must_be_sentence(error)
        return
    there = [row for row in rows if any(cell.strip() for cell in row)]
    assert raw.x.shape == (len(there), len(names))
    for row, values in zip(there, raw.x, strict=True):
        for cell, value in zip(row, values, strict=True):
            if cell.strip().lower() in WORDS:
                assert value == WORDS[cell.strip().lower()]
            elif math.isnan(value):
                # a half of a letter is "?", and a byte order mark nothing
                cell = cell.encode("utf-8", "replace").decode().replace("\ufeff", "")
                assert cell.strip() in (*MISSING, "#N/A", "-NaN", "-nan", "1.#IND", "-1.#IND")
            else:
                assert float(cell) == value


@given(
    TABLES,
    st.lists(st.integers(0, 10**9), min_size=6, max_size=6, unique=True),
    st.randoms(use_true_random=False),
)
def test_columns_of_names_and_labels_leave_the_values_as_they_are(table, ids, random):
    names, rows = table
    columns = {name: [repr(row[i]) for row in rows] for i, name in enumerate(names)}
    columns["patient"] = [f"p{number}" for number in ids[: len(rows)]]
    columns["kind"] = [random.choice(["a", "b"]) for _ in rows]
    columns["note"] = ["n/a or so" for _ in rows]
    order = list(columns)
    random.shuffle(order)
    lines = [order, *zip(*(columns[name] for name in order), strict=True)]
    content = "\n".join(",".join(line) for line in lines).encode()
    said = Asked(label="kind", id="patient", drop="note", header="true", index="false")
    raw = from_text(content, said, "it")
    kept = [name for name in order if name in names]
    assert raw.names == tuple(kept)
    assert raw.rows == tuple(columns["patient"])
    assert list(raw.labels) == columns["kind"]
    np.testing.assert_array_equal(raw.x, np.array(rows)[:, [names.index(name) for name in kept]])
    # another table of the same make, its columns in any order
    again = from_text(content, Asked.again(raw.table | {"names": ""}), "it")
    np.testing.assert_array_equal(again.x, raw.x)


ARRAYS = st.builds(
    lambda shape, kind, seed: (np.random.default_rng(seed).random(shape) * 9).astype(kind),
    st.lists(st.integers(0, 4), min_size=1, max_size=5).map(tuple),
    st.sampled_from(["f2", "f4", "f8", ">f4", "u1", "i1", "i8", "?", "c8", "U3", "S2", "M8[s]"]),
    st.integers(0, 99),
)


def stored(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def stored_by_name(arrays, packed):
    file = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(file, **arrays)
    return file.getvalue()


@given(ARRAYS)
def test_an_array_is_read_as_it_was_stored(array):
    found = npy(stored(array), "it")
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


@given(st.one_of(mutated(stored(np.eye(3))), mutated(stored(np.zeros((2, 1, 3, 3), "u1")))))
def test_a_damaged_array_is_one_of_its_size_or_refused(content):
    try:
        found = npy(content, "it")
    except BadData as error:
        must_be_sentence(error)
        return
    assert found.nbytes <= len(content)
    np.testing.assert_array_equal(found, np.load(io.BytesIO(content), allow_pickle=False))


NAMED = st.dictionaries(
    st.sampled_from([
        "x", "y", "train", "test", "validation", "labels", "x_train", "X_test", "train_labels",
        "y-val", "images", "arr_0", "arr_1", "arr_2", "evil", "targets", "../x",
    ]),
    ARRAYS,
    max_size=4,
)  # fmt: skip


@given(NAMED, st.booleans())
def test_arrays_by_name_are_data_with_those_values_or_refused(arrays, packed):
    found = npz(stored_by_name(arrays, packed), "it")
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in arrays.items()}
    try:
        raw = named(found, Asked(), "it")
        data = own_data(raw, "it", CARD)
    except BadData as error:
        must_be_sentence(error)
        return
    for split in ("train", "validation", "test"):
        x = data.split(split)
        assert len(x)
        assert x.isfinite().all()
        assert tuple(x.shape[1:]) == data.spec.shape
    total = sum(len(data.split(split)) for split in ("train", "validation", "test"))
    assert total == sum(len(part.x) for part in raw.values())


ARCHIVE = stored_by_name({"x": np.eye(6), "y": np.arange(6)}, False)
PACKED = stored_by_name({"x": np.eye(6), "y": np.arange(6)}, True)


@given(st.one_of(mutated(ARCHIVE), mutated(PACKED)))
def test_a_damaged_archive_gives_what_it_held_or_nothing(content):
    try:
        found = npz(content, "it", limit=10_000)
    except BadData as error:
        must_be_sentence(error)
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(found) == len(archive.namelist())
    assert sum(each.nbytes for each in found.values()) <= 10_000


SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(SHAPES, st.integers(0, 99))
def test_an_idx_file_is_read_as_it_was_written(shape, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape).astype("u1")
    head = b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    assert idx(head + array.tobytes(), "it").numpy().tobytes() == array.tobytes()


IDX = b"\0\0\x08\x02" + struct.pack(">2I", 2, 3) + bytes(range(6))


@given(
    st.one_of(
        mutated(IDX),
        st.integers(0, 255).map(lambda n: b"\0\0\x08" + bytes([n]) + b"\0\0\0\1" * n + b"a"),
    )
)
def test_a_damaged_idx_file_is_of_the_shape_it_says_or_refused(content):
    try:
        found = idx(content, "it")
    except BadData as error:
        must_be_sentence(error)
        return
    assert found.numel() == len(content) - 4 - 4 * content[3]
    assert found.ndim == content[3]


CONTENT = st.binary(max_size=300)


@given(CONTENT, st.integers(0, 9), st.integers(1, 400))
def test_what_was_packed_is_unpacked_and_no_more_than_is_allowed(content, level, limit):
    packed = gzip.compress(content, level)
    assert decompressed(packed, "it") == content
    try:
        assert decompressed(packed, "it", limit) == content
        assert len(content) <= limit
    except CorruptData as error:
        must_be_sentence(error)
        assert len(content) > limit


LETTERS = bytes(range(64)) * 3
PACKED_LETTERS = gzip.compress(LETTERS)


@given(mutated(PACKED_LETTERS))
def test_a_damaged_packed_file_is_refused_or_whole(content):
    try:
        found = decompressed(content, "it")
    except CorruptData as error:
        must_be_sentence(error)
        return
    # its checksum holds, or it is no packed file at all
    assert found in (LETTERS, b"") or not content.startswith(b"\x1f\x8b")


def picture(kind, mode):
    file = io.BytesIO()
    Image.new(mode, (5, 4), 1).save(file, kind)
    return file.getvalue()


PICTURES = [
    (".png", picture("PNG", "RGB")),
    (".gif", picture("GIF", "P")),
    (".bmp", picture("BMP", "L")),
    (".tif", picture("TIFF", "RGBA")),
    (".pgm", picture("PPM", "L")),
]
FOLDER = Path(tempfile.mkdtemp(prefix="hunt-"))


@given(st.sampled_from(PICTURES).flatmap(lambda one: st.tuples(st.just(one[0]), mutated(one[1]))))
def test_a_damaged_picture_is_bytes_in_channels_or_refused(one):
    ending, content = one
    path = FOLDER / f"a{ending}"
    path.write_bytes(content)
    try:
        raw = pictures(FOLDER, Asked())["train"]
        assert raw.x.dtype == np.uint8
        assert raw.x.ndim == 4
        assert raw.x.shape[1] in (1, 3, 4)
    except BadData as error:
        must_be_sentence(error)
    finally:
        path.unlink()


VALUES = st.builds(
    lambda rows, shape, scale, seed: torch.from_numpy(
        scale * np.random.default_rng(seed).standard_normal((rows, *shape)) + scale
    ),
    st.integers(1, 5),
    st.sampled_from([(3,), (4, 2), (2, 3, 3)]),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e9, 1e30]),
    st.integers(0, 999),
)


@given(VALUES, st.sampled_from(LAYOUTS), st.lists(texts, max_size=3), st.booleans())
def test_what_a_reader_reads_it_gives_back(values, layout, classes, has_marks):
    is_image = values.ndim == 4
    mean, deviation = fitted(values, is_image)
    reader = Reader(
        mean,
        deviation,
        layout=layout if is_image else "",
        classes=tuple(classes),
        missing=(-999.0,) if has_marks else (),
    )
    given_ = values
    if is_image and layout == "HW":
        given_ = values[:, 0]
        reader = Reader((mean[0],), (deviation[0],), layout=layout)
    if is_image and layout == "HWC":
        given_ = values.movedim(1, -1)
    x = reader.read(given_, torch.float64)
    scale = float(values.abs().max())
    assert torch.allclose(reader.back(x), given_, rtol=1e-12, atol=1e-12 * scale)
    again = Reader.from_json(json.loads(json.dumps(reader.as_json())))
    assert again == reader
    assert again.sha256 == reader.sha256
    # a density of x and one of the values differ by the volume that a deviation spans
    volume = -math.log(max(deviation)) if len(set(deviation)) == 1 else None
    if volume is not None:
        found = reader.log_jacobian(x)
        wanted = torch.full_like(found, volume * x[0].numel())
        assert torch.allclose(found, wanted)
