"""Readers refuse what is cut off, damaged, empty or pickled, in one sentence."""

import io
import struct

import numpy as np
import pytest
import scipy.io

from vaezoo.data.files import CorruptData
from vaezoo.data.formats import idx, mat, npy, npz


def idx_bytes(array: np.ndarray) -> bytes:
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def saved(save, *arrays, **named) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


X = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_idx_gives_back_the_array():
    assert np.array_equal(idx(idx_bytes(X), "f").numpy(), X)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG....", "no IDX file"),
        (idx_bytes(X)[:10], "header should have 16 bytes"),
        (idx_bytes(X)[:-1], "should hold 24 bytes"),
        (idx_bytes(X) + b"x", "should hold 24 bytes"),
        (idx_bytes(X[:0]), "no rows"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "should hold"),
    ],
)
def test_a_bad_idx_file_is_refused(content, words):
    with pytest.raises(CorruptData, match=words):
        idx(content, "f")


@pytest.mark.parametrize(
    "content", [b"", b"no mat file at all", saved(scipy.io.savemat, {"a": X})[:150]]
)
def test_a_bad_mat_file_is_refused(content):
    with pytest.raises(CorruptData, match="no MATLAB file"):
        mat(content, "f")


@pytest.mark.parametrize("cut", [5, 40, 130])
def test_a_cut_off_npy_or_npz_is_refused(cut):
    with pytest.raises(CorruptData, match=r"no \.npy file"):
        npy(saved(np.save, X)[:cut], "f")
    with pytest.raises(CorruptData, match=r"no \.npz file"):
        npz(saved(np.savez, X)[:cut], "f")


def test_pickled_objects_are_never_loaded():
    content = saved(np.save, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptData):
        npy(content, "f")
    with pytest.raises(CorruptData):
        npz(saved(np.savez, np.array([{"a": 1}], dtype=object)), "f")


def test_a_damaged_member_of_an_npz_is_refused():
    content = bytearray(saved(np.savez_compressed, np.arange(1000)))
    content[100:140] = bytes(40)
    with pytest.raises(CorruptData):
        npz(bytes(content), "f")


def test_an_npz_that_unpacks_without_end_is_not_unpacked():
    content = saved(np.savez_compressed, np.zeros(1_000_000))
    with pytest.raises(CorruptData, match="at most 1,000 are read"):
        npz(content, "f", limit=1000)
