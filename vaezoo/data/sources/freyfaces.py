"""Frey faces: 1,965 frames of one face, 28×20, grey."""

from collections.abc import Callable

import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ..data import Card, Data, by_split
from ..files import CorruptData, File, Files
from ..formats import npy
from ..splits import duplicates, shuffled

FILE = File(
    "freyfaces/freyfaces.npy",
    "13a0cd943fe56c8a2f4c05bc670b097ae2fda4f9d3a0d5215277712ac02f12e6",
    hint="github.com/jmtomczak/vae_vampprior (datasets/Freyfaces), saved with numpy.save as uint8 "
    "of shape (1965, 560)",
    size=1_100_528,
)


@tags("image", "real", "small", "files")
def freyfaces(files: Files) -> Data:
    """Frey faces, 1×28×20, grey values in [0, 1]: 1,965 frames of one film."""
    grey = faces(files.read_all([FILE])[0], FILE.name)
    rows = shuffled(len(grey), len(grey) // 10, len(grey) // 10, "freyfaces")
    x = rows.of(grey)
    return Data(
        name="freyfaces",
        spec=Spec((1, 28, 20), "normal", len(rows.train), latent=8, hidden=128, network="conv"),
        **by_split(x),
        card=Card(
            "Frey faces",
            "B. Frey, S. Roweis; as in github.com/jmtomczak/vae_vampprior",
            "not stated by its makers",
            "value/255, not dequantised; 80/10/10 % by a fixed seed",
            (
                "frames of one film: neighbours are nearly equal, "
                "and a random split puts them on both sides",
            ),
        ),
        budget={"epochs": 150, "patience": 20},
        split_hash=rows.sha256,
        duplicates=duplicates(x["train"], x["test"]),
    )


def faces(content: bytes, who: str) -> Tensor:
    """(N, 1, 28, 20) in [0, 1], from a .npy file of bytes (N, 560).

    Raises: CorruptData.
    """
    pixels = npy(content, who)
    if pixels.ndim != 2 or pixels.shape[1] != 560 or pixels.dtype != "uint8":
        raise CorruptData(f"{who} holds {pixels.dtype} {pixels.shape}; expected uint8 (N, 560)")
    return torch.from_numpy(pixels).float().reshape(-1, 1, 28, 20) / 255


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [freyfaces]
