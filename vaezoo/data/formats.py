"""Readers of file formats: bytes in, arrays out, one clear sentence when the bytes are wrong. No
pickle anywhere.
"""

import io
import math
import zipfile
import zlib
from tokenize import TokenError

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import (
    read_array,
    read_array_header_1_0,
    read_array_header_2_0,
    read_magic,
)
from torch import Tensor

from .files import LIMIT, CorruptData
from .words import cut

Array = npt.NDArray[np.generic]
# what numpy raises for damaged files: a header is parsed as Python
DAMAGE = (
    ValueError, TypeError, LookupError, EOFError, OSError, ArithmeticError, MemoryError,
    SyntaxError, TokenError, RecursionError,
)  # fmt: skip


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
    if content.startswith(b"PK"):
        raise CorruptData(f"{who} is an archive of arrays (.npz), not one array (.npy)")
    try:
        return read_array(_of_its_size(content), allow_pickle=False)
    except DAMAGE as error:
        raise CorruptData(
            f"{who} is no .npy file of plain numbers, or a damaged one ({_short(error)})"
        ) from None


def _of_its_size(content: bytes) -> io.BytesIO:
    """The .npy file as a stream, once its header asks for no more memory than it fills.

    Raises: ValueError.
    """
    stream = io.BytesIO(content)
    version = read_magic(stream)
    read = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"it has version {version} of the format, and 1.0 and 2.0 are read")
    shape, _, kind = read(stream)
    claimed = math.prod(shape) * kind.itemsize
    found = len(content) - stream.tell()
    if claimed != found and not kind.hasobject:  # numpy refuses those itself
        raise ValueError(f"its header claims {cut(str(claimed), 30)} bytes, and it has {found}")
    stream.seek(0)
    return stream


def npz(content: bytes, who: str, limit: int = LIMIT) -> dict[str, Array]:
    """The arrays of a .npz file by name. Raises: CorruptData, also where they would unpack to more
    than `limit` bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > limit:
                raise CorruptData(f"{who} unpacks to {size:,} bytes; at most {limit:,} are read")
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) < len(names):
                raise CorruptData(f"{who} holds two arrays of one name")
            # no member gives more bytes than the directory says
            arrays = (
                npy(archive.read(member), f"{member.filename} in {who}") for member in members
            )
            return dict(zip(names, arrays, strict=True))
    except (*DAMAGE, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        if isinstance(error, CorruptData):
            raise
        raise CorruptData(
            f"{who} is no .npz file of plain numbers, or a damaged one ({_short(error)})"
        ) from None


def _short(error: Exception) -> str:
    return cut(str(error).split("\n")[0]) or type(error).__name__
