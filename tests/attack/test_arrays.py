"""A file of arrays that is damaged, forged or a bomb is refused in one sentence, soon."""

import io
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vaezoo.core import Spec
from vaezoo.data import reading
from vaezoo.data.files import BadData, CorruptData
from vaezoo.data.formats import npz
from vaezoo.data.reading import read_columns
from vaezoo.use import rows_from

SPEC = Spec((3,))
SECONDS = 5.0


class Bomb:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('a pickle was run')",)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def claiming(shape: str, descr: str = "'<f8'", version: bytes = b"\x01\x00") -> bytes:
    """A .npy file whose header says this and whose content is 16 bytes."""
    words = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(words)) + words + b"\0" * 16


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return stream.getvalue()


def lying() -> bytes:
    """An archive that says in its directory that the member is small."""
    content = zipped(x_npy=npy(np.zeros((10**6, 3))))
    size = struct.pack("<I", len(npy(np.zeros((10**6, 3)))))
    return content.replace(size, struct.pack("<I", 200))


NPY = {
    "a pickle": pickle.dumps(Bomb()),
    "objects": npy(np.array([Bomb(), 1], dtype=object)),
    "petabytes": claiming("(1000000000000000,)"),
    "gigabytes": claiming("(3000000000,)"),
    "a size of 400 digits": claiming(f"({'9' * 400},)"),
    "a size below zero": claiming("(-1, 3)"),
    "a shape in words": claiming("'many'"),
    "many axes": claiming("(" + "1, " * 100 + ")"),
    "code for a shape": claiming("__import__('os').system('true')"),
    "brackets": claiming("(" * 20_000),
    "another type": claiming("(2,)", "'nonsense'"),
    "a type of a million bytes": claiming("(2,)", "'<U1000000'"),
    "records": npy(np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])),
    "text": npy(np.array(["a", "b"])),
    "dates": npy(np.array(["2020-01-01"], dtype="M8[D]")),
    "complex numbers": npy(np.zeros((2, 3), complex)),
    "another version": claiming("(2,)", version=b"\x09\x00"),
    "nothing": b"",
    "only the magic": b"\x93NUMPY",
    "a cut": npy(np.zeros((4, 3)))[:-9],
    "one number": npy(np.float64(3)),
    "no rows": npy(np.zeros((0, 3))),
    "no columns": npy(np.zeros((3, 0))),
    "an archive": zipped(x_npy=npy(np.zeros((4, 3)))),
}
NPZ = {f"x is {name}": zipped(x_npy=content) for name, content in NPY.items()} | {
    "no archive": npy(np.zeros((4, 3))),
    "no members": zipped(),
    "a member of another kind": zipped(x_npy=b"hello"),
    "a member without a suffix": zipped(x=b"hello"),
    "a bomb": zipped(x_npy=npy(np.zeros(2 * 10**8, np.uint8)), y_npy=npy(np.zeros(9 * 10**8, "?"))),
    "a directory that lies": lying(),
    "a cut archive": zipped(x_npy=npy(np.zeros((4, 3))))[:-30],
    "other names": zipped(y_npy=npy(np.zeros((4, 3)))),
    "a name of escapes": zipped(**{"\x1b]0;x\a_npy": npy(np.zeros((4, 3)))}),
    "a name of a path": zipped(**{"../../x_npy": npy(np.zeros((4, 3)))}),
    "a name of 60,000 letters": zipped(**{"x" * 60_000 + "_npy": npy(np.zeros((4, 3)))}),
    "ten thousand names": zipped(**{f"y{i}_npy": b"" for i in range(10_000)}),
}
CASES = [(".npy", name) for name in NPY] + [(".npz", name) for name in NPZ]


def refusal(read: Callable[[Path], Any], path: Path) -> str:
    start = time.process_time()
    with pytest.raises(BadData) as caught:
        read(path)
    assert time.process_time() - start < SECONDS
    said = str(caught.value)
    assert said.isprintable(), said
    assert len(said) <= 1000  # the longest sentence of a `BadData`
    return said


def data_of(path: Path) -> Any:
    from vaezoo.use import dataset

    return dataset("arrays", path=str(path))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_odd_arrays_are_one_sentence(kind: str, name: str, tmp_path: Path):
    path = tmp_path / f"a{kind}"
    path.write_bytes((NPY if kind == ".npy" else NPZ)[name])
    refusal(lambda path: rows_from(path, SPEC), path)
    refusal(data_of, path)


X = np.random.default_rng(0).random((40, 3))
ODD_NAMED: dict[str, dict[str, Any]] = {
    "a list with a gap": {"arr_0": X, "arr_2": X},
    "a list with a word": {"arr_0": X, "arr_x": X},
    "a list with another digit": {"arr_0": X, "arr_١": X},
    "labels of other bytes": {"x": X, "y": np.array([b"a", b"\xff"] * 20)},
    "labels beyond int64": {"x": X, "y": np.array([2**64 - 1, 1] * 20, np.uint64)},
    "labels of 1e300": {"x": X, "y": np.array([1e300, 1.0] * 20)},
    "infinite labels": {"x": X, "y": np.array([np.inf, 1.0] * 20)},
    "labels that are NaN": {"x": X, "y": np.array([np.nan, 1.0] * 20)},
    "complex labels": {"x": X, "y": np.array([1j, 1.0] * 20)},
    "dates as labels": {"x": X, "y": np.array([0, 1] * 20, "M8[s]")},
}


@pytest.mark.parametrize("name", ODD_NAMED)
def test_odd_lists_and_labels_are_one_sentence(name: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", **ODD_NAMED[name])
    refusal(data_of, tmp_path / "a.npz")


def test_labels_that_are_bytes_are_words(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=X, y=np.array(["é".encode(), b"b"] * 20))
    assert data_of(tmp_path / "a.npz").reader.classes == ("b", "é")


def test_a_hundred_thousand_columns_take_seconds(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((4, 10**5), np.float32))
    start = time.process_time()
    assert data_of(tmp_path / "a.npy").spec.shape == (10**5,)
    assert time.process_time() - start < SECONDS


def test_an_archive_is_unpacked_to_the_limit_and_no_further():
    content = zipped(x_npy=npy(np.zeros(10**6)))
    with pytest.raises(CorruptData, match="unpacks to"):
        npz(content, "a", limit=10**6)
    assert npz(content, "a", limit=10**7)["x"].shape == (10**6,)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe\x00", b"\0" * 1000, b"a,b\n1,2,3,4\n", b"a\n" + b'"' * 10**5,
        "é,ü\n1,x\n".encode("latin-1"), b"a,a\n1,\x1b[31m\n", b",\n,\n", b"a\n" + b"9" * 5_000,
        b"9" * 5_000 + b",2\n" + b"1.5,3\n" * 10, b"1,2," + b"9" * 5_000 + b"\n" + b"1,2,3\n" * 12,
        b"a,b\n" + b"1.5,-9223372036854775808\n2.5,3\n" * 10,
        b"a\ninf\n1\n2\n3\n4\n", b"x" * 10**6, b"a\n" + b"1e999\n" * 9,
    ],
)  # fmt: skip
def test_an_odd_table_is_one_sentence(content: bytes, tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    refusal(data_of, path)
    (tmp_path / "a.parquet").write_bytes(content)
    refusal(lambda path: read_columns(path.with_suffix(".parquet")), path)


def test_a_parquet_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    """A million rows of one value, in a file of some kilobytes."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": np.ones(10**6)}).to_parquet(path)
    assert path.stat().st_size < 10**5
    monkeypatch.setattr(reading, "LIMIT", 10**6)
    monkeypatch.setattr(pd, "read_parquet", lambda path: pytest.fail("it was read"))
    with pytest.raises(BadData, match="unpacks to 8,000,000 bytes; at most 1,000,000 are read"):
        read_columns(path)
