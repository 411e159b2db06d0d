"""Thirteen binary data sets by which densities are compared: {0, 1}^D, D from 16 to 1,359.

They are what papers on tractable densities (arithmetic circuits, sum-product networks, MADE) report
on, with their splits. Control row: the Chow–Liu tree, computed exactly. Each is trained on for the
same number of steps, for some are so small that epochs of them are a handful of steps.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ..data import SPLITS, Card, Data, by_split, named
from ..files import CorruptData, File, Files
from ..splits import duplicates
from ..trees import chow_liu

Set = Literal[
    "nltcs",
    "plants",
    "baudio",
    "jester",
    "bnetflix",
    "accidents",
    "pumsb_star",
    "dna",
    "mushrooms",
    "nips",
    "bbc",
    "moviereview",
    "voting",
]
_HASHES = {  # of train, valid, test
    "nltcs": (
        "e547a7aedad1dd2f7177030881ab1b92c7e24ae5464c71a0f1f89daecaf52b30",
        "93bbbf5c6febdc9bc6e5b5bfab636f4dc0685ab2896d24b23dd267794c3bfcf6",
        "f9ffa6b74b27dc03bee3203d157ee31079e80b13be40d0c0093d635c25aed523",
    ),
    "plants": (
        "1fb1219ff94068d12a563f9e81f8889a1885f41e867884cff608669300c6848f",
        "47834ed318b2d74f48e4b083226ef47fd446d41986012ceae19d230574821b34",
        "95f53c033cd1d86467aec2610dc5bfe014534206c2da4919f73bcab246ab8755",
    ),
    "baudio": (
        "b1ec73f4aa9d4ce48b465ded865cc3d22b3f68cf6258f9e15fbef8902138add1",
        "7164d8a4943f74953f0e982002d84693fdf483e17f69e7407dc939c5ce5622fe",
        "1474f3206f1f35e099803a0f40b0cd209bdc8d787825095ef6cb23fd87ed0d05",
    ),
    "jester": (
        "dd93578c3359d5b234bb278bf0901c5215d83b910f7d51d7c91951a0a4c244cd",
        "91df833941e189265345898d3f63211560c2456df599f34beee8e95381ee7524",
        "346044fb561cf18f284f7e9d5896178b03048991b6ebb6f7482885fccbc16082",
    ),
    "bnetflix": (
        "73c87cf0635ec734cc0726a5c644b904ff33e81ea51f1049db0e77b787ebad7c",
        "7f0a3e597c6f305f707f9ecd2b2aa523c576cdb17fdc5d902fc832ebea5163de",
        "af73990782fd2f146d96059855c4f3bbb6a7a7caefc417ff620a3ed1415a2395",
    ),
    "accidents": (
        "a76648cf00772c275b4277b21d858e235e3c6d3c5ef30beeb4958189b6bed21c",
        "fd3a80a0f411f157cf3772a057d26980bb166cb89b10cafb818a53f1ec30d46d",
        "df3f1b6c035bf3e306a7d7127320e479d2546ce14a5d6d3043e6be0925b8b414",
    ),
    "pumsb_star": (
        "27e610b5f9f507f94ebf8a227f8b96cc59d7eed51e06ee5d2fe8353afbc1524c",
        "6a491d1ea64eb0249dddd168fdddeef88aa21001a933eb7309603b6466187af8",
        "b2da195314ac17f9d8d171743c5f98a28ea9583332a52d34aa228ff2e11aa8e7",
    ),
    "dna": (
        "bb8de0ca4b6ad9b610036b7a302962ebecd4b504354b14c02c7d0bee48d207d9",
        "4b0fc89cda5eaf5c75926e281afb6af99de194a546070d5b81b524ba251f4f3f",
        "fec3ae7b26804020a9c43c99828441c5e08bb76b23719368a74ad2b09af99100",
    ),
    "mushrooms": (
        "465c712c066bbbee3ccceded24bbe42b4c379df67b524e28cce9bf3a8b83f27b",
        "5a067e6854df71623415e6adc8e913cbff766637a324788882ba800907aa5385",
        "313c5f04b5d0a18bee2f2ffa264be265d09f5362aad6f714637acd9552f81aa0",
    ),
    "nips": (
        "4d744cb1f2c725405bff6ef6878df06eafbbc2a91f0510e0f3d8a508b05ec7bb",
        "b06acd8e6a701d63d4e58b5076c11c59bcd0343fb9b1fbb5997459d3e6b8ca96",
        "48711bdaffbd43aa439679785e19d9cc80c64a157fa84eadc5dce60ee4edf7bc",
    ),
    "bbc": (
        "a6f0ba467ebf502ba3b37caa1f20e43ff82664dcd580be92010106cf80fb0db1",
        "f6a37bd58cdb6745725628be19dfd3b9b795082faa8ca771b8f27dbf4a5ff46d",
        "7116fce92a1f3d610cee673a974c8c9895957ee07ce6f086b431ee296aa7734a",
    ),
    "moviereview": (
        "195729f0d72e9707abb7a901b57193bd1b1c9108bb261202170eec6c7e5e2ed1",
        "d887c7726485ca46026c3c9ab511174679cd1c96443c5410ab24fb81c8be38e3",
        "9fea48ab7422d4a1c0b5d063311e6fd3104e59c11018276f7a9e909685a856d2",
    ),
    "voting": (
        "113c35bd468a0bb97772623634c1b729b76ba90674e62b68c38fe8d5ac08b341",
        "391bad94351ac4565e2f6628c917607b6e82b82ebdc52d64dd8bfbebcdae12b7",
        "c77c851edfc1fd5c275e961de3530ae406fc5c3446fa305959720273a5bbe9c8",
    ),
}
_ORIGIN = "UCLA-StarAI/Density-Estimation-Datasets"
_URL = f"https://raw.githubusercontent.com/{_ORIGIN}/master/datasets/"
_SOURCE = (
    f"github.com/{_ORIGIN} (Lowd & Davis 2010, Van Haaren & Davis 2012, Larochelle & Murray 2011, "
    "Bekker et al. 2015)"
)
_LARGEST = 2**23  # bytes; the training rows of pumsb_star have 4 MB
TREE = "Chow–Liu tree"  # the control row


def files_of(name: str) -> tuple[File, ...]:
    """The files of one set: train, valid, test."""
    parts = [f"{name}/{name}.{part}.data" for part in ("train", "valid", "test")]
    return tuple(
        File(f"debd/{part}", sha256, (_URL + part,), size=_LARGEST)
        for part, sha256 in zip(parts, _HASHES[name], strict=True)
    )


@tags("vector", "binary", "files")
def debd(files: Files, set: Set) -> Data:
    """One of thirteen binary sets for density estimation, {0, 1}^D, as they were split."""
    wanted = files_of(set)
    contents = files.read_all(wanted)
    rows = [bits(content, file.name) for content, file in zip(contents, wanted, strict=True)]
    x = dict(zip(SPLITS, rows, strict=True))
    return Data(
        name=named(debd, set=set),
        spec=Spec((x["train"].shape[1],), "bernoulli", len(x["train"]), latent=16, hidden=128),
        card=Card(set, _SOURCE, "not stated by its makers", "splits as shipped"),
        controls=partial(tree_row, x["train"]),
        duplicates=duplicates(x["train"], x["test"]),
        **by_split(x),
    )


def bits(content: bytes, who: str) -> Tensor:
    """Lines of 0 and 1 with commas between -> (N, D), float32.

    Raises: CorruptData.
    """
    lines = content.split()
    width = len(lines[0]) if lines else 0
    if not width or {*map(len, lines)} != {width}:
        raise CorruptData(f"{who} has no lines, or lines of different lengths")
    letters = np.frombuffer(b"".join(lines), np.uint8).reshape(len(lines), width)
    entries = letters[:, ::2]
    if not np.isin(entries, (48, 49)).all() or not (letters[:, 1::2] == ord(",")).all():
        raise CorruptData(f"{who} holds something else than 0 and 1 with commas between")
    return torch.from_numpy(entries == ord("1")).float()


def tree_row(train: Tensor, test: Tensor) -> Mapping[str, Mapping[str, float]]:
    """The control row: -log p(x) of test rows under the tree of the training rows."""
    return {TREE: {"nll": -float(chow_liu(train).log_prob(test).mean())}}


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [debd]
