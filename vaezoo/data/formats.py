"""Readers of file formats: bytes in, arrays out, one clear sentence when the bytes are wrong. No
pickle anywhere.
"""

import io
import math
import zipfile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .files import LIMIT, CorruptData

Array = npt.NDArray[np.generic]


def idx(content: bytes, who: str) -> Tensor:
    """The array of an IDX file of unsigned bytes (LeCun's MNIST format), uint8, of the shape in its
    header.

    Raises: CorruptData.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or content[3] == 0:
        raise CorruptData(
            f"{who} is no IDX file of unsigned bytes: it begins with "
            f"{content[:4].hex(' ') or 'nothing'}"
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise CorruptData(
            f"{who} is cut off: its IDX header should have {start} bytes, "
            f"the file has {len(content)}"
        )
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if len(content) - start != math.prod(shape):
        raise CorruptData(
            f"{who} should hold {math.prod(shape):,} bytes behind its header; "
            f"it holds {len(content) - start:,}"
        )
    if not math.prod(shape):
        raise CorruptData(f"{who} holds no rows: its shape is {tuple(shape)}")
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(shape)


def mat(content: bytes, who: str) -> dict[str, Array]:
    """The variables of a MATLAB file (up to v7).

    Raises: CorruptData.
    """
    from scipy.io import loadmat

    try:
        return loadmat(io.BytesIO(content))  # type: ignore[arg-type]
    except Exception as error:  # scipy raises a dozen kinds for damaged files
        raise CorruptData(
            f"{who} is no MATLAB file, or a damaged one ({type(error).__name__}: {error})"
        ) from None


def npy(content: bytes, who: str) -> Array:
    """The array of a .npy file. Raises: CorruptData."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CorruptData(
            f"{who} is no .npy file of plain numbers, or a damaged one ({_short(error)})"
        ) from None
    if not isinstance(array, np.ndarray):
        raise CorruptData(f"{who} is an archive of arrays (.npz), not one array (.npy)")
    return array


def npz(content: bytes, who: str, limit: int = LIMIT) -> dict[str, Array]:
    """The arrays of a .npz file by name. Raises: CorruptData, also where they would unpack to more
    than `limit` bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > limit:
            raise CorruptData(f"{who} unpacks to {size:,} bytes; at most {limit:,} are read")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except CorruptData:
        raise
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise CorruptData(
            f"{who} is no .npz file of plain numbers, or a damaged one ({_short(error)})"
        ) from None


def _short(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__
