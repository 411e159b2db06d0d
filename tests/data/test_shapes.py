"""Shapes that files have in the wild: what is read of each, or the sentence that asks."""

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from vaezoo.data.asked import Asked
from vaezoo.data.files import BadData
from vaezoo.data.reading import read_columns

IRIS = "5.1,3.5,setosa\n4.9,3.0,setosa\n4.7,3.2,virginica\n"
COUNTED = "".join(f"{i},{i % 3}.5,{i}.25\n" for i in range(12))

# text, options, shape of x, names of its columns
READ = {
    "commas": ("a,b\n1,2\n3,4\n", {}, (2, 2), "a b"),
    "semicolons": ("a;b\n1;2\n3;4\n", {}, (2, 2), "a b"),
    "tabs": ("a\tb\n1\t2\n3\t4\n", {}, (2, 2), "a b"),
    "bars": ("a|b\n1|2\n3|4\n", {}, (2, 2), "a b"),
    "blanks": ("a  b\n1   2\n 3 4\n", {}, (2, 2), "a b"),
    "one column": ("a\n1\n3\n", {}, (2, 1), "a"),
    "decimal commas": ("a;b\n1,5;2,25\n3,0;4\n", {}, (2, 2), "a b"),
    "decimal commas alone": ("a\n1,5\n3,25\n", {"separator": "semicolon"}, (2, 1), "a"),
    "decimal points after semicolons": ("a;b\n0.234;2\n5.678;3\n", {}, (2, 2), "a b"),
    "decimal points, said": ("a;b\n1.234;2\n", {"decimal": "point"}, (1, 2), "a b"),
    "exponents": ("a,b\n1e-3,2E5\n-.5,+4.\n", {}, (2, 2), "a b"),
    "no header": ("1.5,2\n3,4\n", {}, (2, 2), "c0 c1"),
    "no header, said": ("1,2\n3,4\n", {"header": "false", "separator": "comma"}, (2, 2), "c0 c1"),
    "years as names": ("2019,2020\n1,2\n3,4\n", {"header": "true"}, (2, 2), "2019 2020"),
    "no header, words last": (IRIS, {"label": "c2"}, (3, 2), "c0 c1"),
    "an index that pandas saved": (",a,b\n0,1,2\n1,3,4\n", {}, (2, 2), "a b"),
    "an index from one": (",a,b\n1,1,2\n2,3,4\n", {}, (2, 2), "a b"),
    "an array that pandas saved": (",0,1\n0,1,2\n1,3,4\n", {}, (2, 2), "0 1"),
    "names of rows": (",a\nx,1\ny,2\n", {"index": "true"}, (2, 1), "a"),
    "names of rows as R writes them": ("a b\nx 1 2\ny 3 4\n", {"index": "true"}, (2, 2), "a b"),
    "a column of names": ("who,a\nx,1\ny,2\n", {"id": "who"}, (2, 1), "a"),
    "an id": ("id,a\n7,1\n9,2\n", {"id": "id"}, (2, 1), "a"),
    "a counting column, kept": ("t,a,b\n" + COUNTED, {"index": "false"}, (12, 3), "t a b"),
    "a counting column, left out": ("t,a,b\n" + COUNTED, {"index": "true"}, (12, 2), "a b"),
    "columns left out": ("a,b,c\n1,x,2\n3,y,4\n", {"drop": "b+c"}, (2, 1), "a"),
    "words as labels": ("a,kind\n1,x\n3,y\n", {"label": "kind"}, (2, 1), "a"),
    "quotes": ('"a, or b","c"\n"1","2"\n3,4\n', {}, (2, 2), "a, or b|c"),
    "a byte-order mark": ("\ufeffa,b\n1,2\n3,4\n", {}, (2, 2), "a b"),
    "UTF-16": ("ä,b\n1,2\n3,4\n".encode("utf-16"), {}, (2, 2), "ä b"),
    "cp1252, said": ("ä;b\n1;2\n3;4\n".encode("cp1252"), {"encoding": "cp1252"}, (2, 2), "ä b"),
    "carriage returns": ("a,b\r\n1,2\r\n3,4\r\n", {}, (2, 2), "a b"),
    "separators at the ends": ("a,b,\n1,2,\n3,4,\n", {}, (2, 2), "a b"),
    "a line of a spreadsheet": ("sep=;\na;b\n1;2\n3;4\n", {}, (2, 2), "a b"),
    "blank lines": ("a,b\n\n1,2\n\n3,4\n\n", {}, (2, 2), "a b"),
    "gaps": ("a,b\n1,NA\n,4\n5,?\n", {}, (3, 2), "a b"),
    "yes and no of Python": ("a,b\n1,True\n2,False\n", {}, (2, 2), "a b"),
    "a long table": ("id,time,a\n1,1,2\n1,2,3\n2,1,4\n", {}, (2, 2, 1), "a"),
    "mixed ends of lines": ("a,b\r\n1,2\n3,4\r5,6\n", {}, (3, 2), "a b"),
    "an end of line in a name": ('"a\nx",b\n1,2\n', {}, (1, 2), "a x|b"),
    "an end of line in a word": ('a,kind\n1,"x\ny"\n3,z\n', {"label": "kind"}, (2, 1), "a"),
    "two spaces in a name": ("a  x,a x\n1,2\n3,4\n", {}, (2, 2), "a  x|a x"),
    "one column of decimal commas": ("a\n1,5\n2,7\n", {}, (2, 1), "a"),
    "one column, one line without a comma": ("3\n1,5\n2,7\n", {}, (3, 1), "c0"),
    "one column of decimal commas, said": ("1,5\n2,7\n", {"decimal": "comma"}, (2, 1), "c0"),
    "two columns, said": ("1,5\n2,7\n", {"separator": "comma"}, (2, 2), "c0 c1"),
    "two columns, the second said to be labels": ("1,5\n2,7\n", {"label": "c1"}, (2, 1), "c0"),
    "two columns with a sign": ("1,5\n2,-7\n", {}, (2, 2), "c0 c1"),
    "names that differ in case": ("a,A\n1,2\n3,4\n", {}, (2, 2), "a A"),
    "a constant": ("a,b\n1,7\n3,7\n", {}, (2, 2), "a b"),
    "one row": ("a,b\n1,2\n", {}, (1, 2), "a b"),
    "empty lines of a spreadsheet": ("a,b\n1,2\n,\n,\n", {}, (1, 2), "a b"),
    "a long table of others": (
        "unit,time,a\n1,1,2\n1,2,3\n2,1,4\n", {"id": "unit"}, (2, 2, 1), "a",
    ),
}  # fmt: skip

# text, options, words of the sentence
ASKED = {
    "one column or two": ("1,5\n2,7\n3,1\n", {}, "two numbers, or one with a decimal comma"),
    "a short header": ("a,b\n1,2,3\n4,5,6\n", {}, "2 columns .* 3 values in row 0 .*index=true"),
    "a ragged row": ("a,b\n1,2\n3,4,5\n", {}, "3 values in row 1"),
    "a row too short": ("a,b\n1,2\n3\n", {}, "1 values in row 1"),
    "names that count": ("0,1\n5,6\n7,8\n", {}, r"line \(0, 1\) names or data\? say header"),
    "words and numbers first": ("a,3,4\n1,2,3\n5,6,7\n", {}, r"first line \(a, 3, 4\) names or"),
    "a name and a year": ("bob,1990\nann,3\neve,4\n", {}, "names or data"),
    "names of rows without a name": (",a\nx,1\ny,2\n", {}, "column has no name; say index=true"),
    "a counting column": ("t,a,b\n" + COUNTED, {}, "'t', counts the rows; say index=true"),
    "two separators": ("a;b|c\n1;2|3\n4;5|6\n", {}, "can be read with semicolon or bar"),
    "thousands": ("a;b\n1,234;2\n5,678;3\n", {}, "thousands, or a decimal comma"),
    "thousands of a country": ("a;b\n1.234;2\n5.678;3\n", {}, "thousands, or a decimal point"),
    "thousands in quotes": ('a,b\n"1,234",2\n"5,678",3\n', {}, "thousands"),
    "both marks": ("a;b\n1.234,5;2\n", {}, r"such as 1\.234,5; write them without"),
    "two decimal marks": ("a;b\n1,5;2.5\n", {}, "say decimal=comma or decimal=point"),
    "another encoding": ("ä;b\n1;2\n".encode("cp1252"), {}, "such as encoding=cp1252"),
    "an unknown encoding": ("a;b\n1;2\n", {"encoding": "x"}, "encoding=x is unknown"),
    "bytes": (b"a\x00,b\n1,2\n", {}, "holds bytes of 0"),
    "comments": ("# a b\n1 2\n", {}, "begins with '#'"),
    "two of one name": ("a,a\n1,2\n", {}, "two columns called 'a'"),
    "a column without a name": ("a,,b\n1,2,3\n", {}, "column 1 .* has no name"),
    "words": ("a,kind\n1,x\n3,y\n", {}, "'x' in row 0; say label=kind .*, or drop=kind"),
    "a column of nothing": ("a,b\n1,\n3,\n", {}, "has no values at all; say drop=b"),
    "no such label": ("a,b\n1,2\n", {"label": "kind"}, "label=kind: .* it has a, b"),
    "no such id": ("a,b\n1,2\n", {"id": "x"}, "id=x: .* has no such column"),
    "a time alone": (
        "unit,time,a\n1,1,2\n1,2,3\n", {}, "say id=NAME for the column that tells them apart"
    ),
    "an id alone": ("id,a\n7,1\n9,2\n", {}, "say id=id if it names the rows"),
    "numbers that float64 does not tell apart": (
        "a,b\n1000000000000000001,2\n1000000000000000002,3\n", {}, "does not keep apart; say id=a",
    ),
    "an id of many rows": (
        "unit,t,a\n1,1,2\n1,2,3\n1,3,4\n2,1,5\n2,2,6\n", {"id": "unit"},
        "'unit' has 2 names for 5 rows: if it tells sequences apart call .* time",
    ),
    "a title above": ("My table\na,b\n1,2\n3,4\n", {}, "1 columns by its first line, and 2 values"),
    "a line of units": ("a,b\nkg,m\n1,2\n3,4\n", {}, "first that is none is 'kg' in row 0"),
    "a sum below": ("a,b\n1,2\n3,4\nTotal,6\n", {}, "first that is none is 'Total' in row 2"),
    "percents": ("a,b\n1%,2\n3%,4\n", {}, "first that is none is '1%'"),
    "a comment inside": ("a,b\n1,2\n# note\n3,4\n", {}, "1 values in row 1"),
    "no separator that is known": ("a^b\n1^2\n3^4\n", {}, "'a\\^b' is of type"),
    "UTF-32": ("a,b\n1,2\n".encode("utf-32"), {}, "holds bytes of 0"),
    "no such separator": ("a,b\n1,2\n", {"separator": "x"}, "separator=x: expected one of comma"),
}  # fmt: skip


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("case", READ)
def test_a_text_is_read(case: str, tmp_path: Path):
    content, options, shape, names = READ[case]
    raw = read_columns(written(tmp_path / "x.csv", content), Asked(**options))["train"]
    assert raw.x.shape == shape
    assert raw.names == tuple(names.split("|" if "|" in names else " "))


@pytest.mark.parametrize("case", ASKED)
def test_a_text_of_two_readings_is_asked_about(case: str, tmp_path: Path):
    content, options, words = ASKED[case]
    with pytest.raises(BadData, match=words) as caught:
        read_columns(written(tmp_path / "x.csv", content), Asked(**options))
    assert "\n" not in str(caught.value)


def test_the_values_of_a_text_are_its_numbers(tmp_path: Path):
    path = written(tmp_path / "x.csv", "a;b\n1,5;-2e3\n?;4\n")
    assert np.array_equal(
        read_columns(path)["train"].x, [[1.5, -2000], [np.nan, 4]], equal_nan=True
    )
    raw = read_columns(written(path, IRIS), Asked(label="c2"))["train"]
    assert raw.labels.tolist() == ["setosa", "setosa", "virginica"]
    assert raw.x.tolist() == [[5.1, 3.5], [4.9, 3.0], [4.7, 3.2]]


@pytest.mark.parametrize("ending", ["csv.gz", "tsv", "tsv.gz", "txt"])
def test_a_text_of_another_ending_is_read_alike(ending: str, tmp_path: Path):
    text = ("a\tb\n1\t2\n3\t4\n" if "tsv" in ending else "a,b\n1,2\n3,4\n").encode()
    path = written(tmp_path / f"x.{ending}", gzip.compress(text) if "gz" in ending else text)
    raw = read_columns(path)["train"]
    assert raw.x.tolist() == [[1, 2], [3, 4]]
    assert raw.names == ("a", "b")


X = np.arange(12.0).reshape(6, 2)
Y = np.arange(6) % 2
ARCHIVES: dict[str, tuple[dict[str, np.ndarray], dict[str, str], tuple[str, ...], bool]] = {
    "x and y": ({"x": X, "y": Y}, {}, ("train",), True),
    "X and Y": ({"X": X, "Y": Y}, {}, ("train",), True),
    "data": ({"data": X}, {}, ("train",), False),
    "data and target": ({"data": X, "target": Y}, {}, ("train",), True),
    "images and labels": ({"images": X, "labels": Y}, {}, ("train",), True),
    "x_train": (
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}, {}, ("train", "test"), True,
    ),
    "train_images": (
        {"train_images": X, "train_labels": Y, "val_images": X, "val_labels": Y}, {},
        ("train", "validation"), True,
    ),
    "splits": ({"train": X, "valid": X, "test": X}, {}, ("train", "validation", "test"), False),
    "others left out": ({"x": X, "y": Y, "names": X}, {"drop": "names"}, ("train",), True),
    "a label of its own": ({"x": X, "kind": Y}, {"label": "kind"}, ("train",), True),
    "no label": ({"x": X, "y": Y}, {"label": "none"}, ("train",), False),
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_arrays_are_known_by_their_names(case: str, kind: str, tmp_path: Path):
    arrays, options, splits, has_labels = ARCHIVES[case]
    path = tmp_path / f"x.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    raw = read_columns(path, Asked(**options))
    assert tuple(raw) == splits
    for part in raw.values():
        assert np.array_equal(part.x, X)
        assert (part.labels is not None) == has_labels


def save_tensor(path: Path) -> None:
    torch.save(torch.from_numpy(X), path)


def save_pair(path: Path) -> None:
    torch.save((torch.from_numpy(X), torch.from_numpy(Y)), path)


def save_list(path: Path) -> None:
    torch.save([torch.ones(3, 2), torch.ones(5, 2)], path)


@pytest.mark.parametrize(
    ("save", "shape", "has_labels"),
    [
        (save_tensor, (6, 2), False),
        (save_pair, (6, 2), True),
        (save_list, (2, 5, 2), False),
    ],
)
def test_tensors_are_read(
    save: Callable[[Path], None], shape: tuple[int, ...], has_labels: bool, tmp_path: Path
):
    save(tmp_path / "x.pt")
    raw = read_columns(tmp_path / "x.pt")["train"]
    assert raw.x.shape == shape
    assert (raw.labels is not None) == has_labels


class Bad:
    """Would run a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path("/nix").touch, ())


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (Bad(), "holds more than tensors, or is damaged"),
        (torch.nn.Linear(2, 2), "holds more than tensors, or is damaged"),
        ({"a": torch.ones(2, 2)}, "holds a; expected train"),
        ({"x": torch.ones(2, 2), "data": torch.ones(2, 2)}, "x and data, which mean the same"),
        ({"x": 3}, "holds a dict; expected a tensor"),
    ],
    ids=["code", "module", "name", "twice", "number"],
)
def test_what_is_no_tensors_is_refused(stored: object, words: str, tmp_path: Path):
    torch.save(stored, tmp_path / "x.pt")
    with pytest.raises(BadData, match=words) as caught:
        read_columns(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


def test_a_pickle_by_another_name_is_refused(tmp_path: Path):
    (tmp_path / "x.pt").write_bytes(pickle.dumps([1]))
    with pytest.raises(BadData, match="more than tensors"):
        read_columns(tmp_path / "x.pt")


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (5, 4), value: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode in ("L", "1", "I;16") else None).save(path)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("P", 3), ("1", 1)]
)
def test_a_folder_of_pictures_is_read_with_its_channels(mode: str, channels: int, tmp_path: Path):
    for name in ("b", "a", "c"):
        picture(tmp_path / f"{name}.png", mode)
    (tmp_path / ".DS_Store").touch()
    raw = read_columns(tmp_path)["train"]
    assert raw.x.shape == (3, channels, 4, 5)
    assert raw.x.dtype == np.uint8
    assert raw.rows == ("a.png", "b.png", "c.png")


def sound(path: Path, steps: int = 40, channels: int = 1, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (steps, channels) if channels > 1 else (steps,)
    wavfile.write(path, rate, np.arange(np.prod(shape)).astype(np.int16).reshape(shape))


def test_a_folder_of_recordings_is_a_set_of_sequences(tmp_path: Path):
    for kind, steps in (("bird", 40), ("dog", 50)):
        sound(tmp_path / "x" / kind / "1.wav", steps)
        sound(tmp_path / "x" / kind / "2.WAV", steps)
        sound(tmp_path / "two" / f"{kind}.wav", 30, 2)
    raw = read_columns(tmp_path / "x")["train"]
    assert raw.x.shape == (4, 50, 1)
    assert raw.lengths.tolist() == [40, 40, 50, 50]
    assert raw.x[0, :3, 0].tolist() == [0, 1, 2]
    assert raw.labels.tolist() == ["bird", "bird", "dog", "dog"]
    assert raw.rows[0] == "bird/1.wav"
    assert raw.words == ("recordings with 1 channel at 8,000 Hz, int16",)
    two = read_columns(tmp_path / "two")["train"]
    assert two.x.shape == (2, 30, 2)
    assert two.x[0, 1].tolist() == [2, 3]


def cut_off(at: Path) -> None:
    (at / "b.wav").write_bytes((at / "a.wav").read_bytes()[:30])


def refused(case: tuple[Callable[[Path], object], str], folder: Path) -> None:
    """After the change the folder is refused in one sentence with these words."""
    change, words = case
    change(folder)
    with pytest.raises(BadData, match=words) as caught:
        read_columns(folder)
    assert "\n" not in str(caught.value)


SOUNDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "two rates": (lambda at: sound(at / "b.wav", rate=44100), "at 44,100 Hz, .* a.wav .* 8,000"),
    "two kinds": (lambda at: sound(at / "b.wav", channels=2), "has 2 channels at .* of one kind"),
    "a damaged one": (cut_off, r"b\.wav is no recording"),
    "silence of no length": (lambda at: sound(at / "b.wav", 0), "recording of length 0"),
    "pictures among them": (lambda at: picture(at / "b.png"), r"a\.wav is no picture"),
}  # fmt: skip


@pytest.mark.parametrize("case", SOUNDS)
def test_recordings_that_are_no_set_are_one_sentence(case: str, tmp_path: Path):
    sound(tmp_path / "a.wav")
    refused(SOUNDS[case], tmp_path)


def test_a_recording_that_is_cut_off_anywhere_is_one_sentence_or_shorter(tmp_path: Path):
    sound(tmp_path / "a.wav")
    whole = (tmp_path / "a.wav").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "a.wav").write_bytes(whole[:size])
        try:
            assert read_columns(tmp_path)["train"].x.shape[1] <= 40
        except BadData:
            continue


def test_one_recording_is_one_row(tmp_path: Path):
    sound(tmp_path / "a.wav")
    with pytest.raises(BadData, match="is one recording, and so one row; name a folder"):
        read_columns(tmp_path / "a.wav")


def test_lists_of_numbers_of_unlike_lengths_are_sequences_of_one_channel(tmp_path: Path):
    np.savez(tmp_path / "x.npz", np.arange(3.0), np.arange(5.0))
    raw = read_columns(tmp_path / "x.npz")["train"]
    assert raw.x.shape == (2, 5, 1)
    assert raw.x[1, :, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_picture_is_read_upright_and_its_transparency_kept(tmp_path: Path):
    turned = Image.Exif()
    turned[0x0112] = 6  # the way a telephone was held
    (tmp_path / "up").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "up" / "a.jpg", exif=turned)
    assert read_columns(tmp_path / "up")["train"].x.shape == (1, 3, 8, 6)

    (tmp_path / "clear").mkdir()
    colours = Image.new("RGB", (8, 6), (9, 8, 7)).quantize(2)
    colours.save(tmp_path / "clear" / "a.png", transparency=0)
    assert read_columns(tmp_path / "clear")["train"].x.shape == (1, 4, 6, 8)


def test_an_empty_class_is_asked_about_and_what_systems_hide_is_not_seen(tmp_path: Path):
    for kind in ("cat", "dog", ".git", "__MACOSX"):
        picture(tmp_path / kind / "1.PNG")
    (tmp_path / "cat" / "._1.PNG").write_bytes(b"x")
    assert read_columns(tmp_path)["train"].labels.tolist() == ["cat", "dog"]
    (tmp_path / "cow").mkdir()
    with pytest.raises(BadData, match="cow is a class without pictures; move it away"):
        read_columns(tmp_path)


def test_class_folders_are_labels_and_train_and_test_folders_splits(tmp_path: Path):
    for kind in ("cat", "dog"):
        picture(tmp_path / "one" / kind / "1.png", "L")
        for split in ("train", "test"):
            picture(tmp_path / "two" / split / kind / "1.png", "L")
    assert read_columns(tmp_path / "one")["train"].labels.tolist() == ["cat", "dog"]
    two = read_columns(tmp_path / "two")
    assert set(two) == {"train", "test"}
    assert two["test"].labels.tolist() == ["cat", "dog"]


def film(path: Path) -> None:
    frames = [Image.new("L", (5, 4), value) for value in (0, 90, 180)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


PICTURES: dict[str, tuple[Callable[[Path], None], str]] = {
    "two sizes": (lambda at: picture(at / "b.png", size=(6, 4)), "4×6 with 3 channels, and .* 4×5"),
    "two kinds": (lambda at: picture(at / "b.png", "L"), "with 1 channel, and a.png"),
    "a text": (lambda at: (at / "b.txt").touch(), r"b\.txt is no picture .*; move it away"),
    "a damaged one": (lambda at: (at / "b.png").write_bytes(b"x"), "is no picture, or a damaged"),
    "sixteen bits": (lambda at: picture(at / "a.png", "I;16"), "is of the kind I;16"),
    "a picture beside classes": (lambda at: picture(at / "k" / "b.png"), r"such as a\.png"),
    "a film": (lambda at: film(at / "b.gif"), r"b\.gif is a film of 3 pictures; save them apart"),
    "none": (lambda at: (at / "a.png").unlink(), "holds no pictures"),
}  # fmt: skip


@pytest.mark.parametrize("case", PICTURES)
def test_a_folder_that_is_no_set_of_pictures_is_one_sentence(case: str, tmp_path: Path):
    picture(tmp_path / "a.png")
    refused(PICTURES[case], tmp_path)


def test_parquet_keeps_names_and_leaves_its_index(tmp_path: Path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame(X, columns=["a", "b"], index=list("uvwxyz"))
    table.to_parquet(tmp_path / "x.parquet")
    raw = read_columns(tmp_path / "x.parquet")["train"]
    assert np.array_equal(raw.x, X)
    assert raw.names == ("a", "b")
