"""MNIST in its three common forms, and Fashion-MNIST: IDX files, 50,000 / 10,000 / 10,000 rows.

The validation split is the last 10,000 of the 60,000 training images, as is usual. Duplicates are
counted in grey.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor

from ...core import Spec
from ...hooks import hookimpl, tags
from ..data import Card, Data, by_split, named
from ..files import CorruptData, File, Files
from ..formats import idx
from ..splits import Few, binarised_once, duplicates, stratified_subset

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_PARTS = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_SIZES = (47_040_016, 60_008, 7_840_016, 10_008)  # bytes, unpacked
_HASHES = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)


def _at(mirrors: Sequence[str], part: str) -> tuple[str, ...]:
    return tuple(mirror + part for mirror in mirrors)


MNIST = tuple(
    File(f"mnist/{part}", digest, _at(_MIRRORS, part), size=size)
    for part, digest, size in zip(_PARTS, _HASHES, _SIZES, strict=True)
)

# What others publish are hashes of the compressed files (tensorflow-datasets), which differ between
# faithful copies; these are of what is inside.
_FASHION = (
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
_FASHION_MIRRORS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
FASHION = tuple(
    File(f"fashion/{part}", digest, _at(_FASHION_MIRRORS, part), size=size)
    for part, digest, size in zip(_PARTS, _FASHION, _SIZES, strict=True)
)

_MNIST_CARD = (
    "Y. LeCun, C. Cortes, C. Burges 1998, http://yann.lecun.com/exdb/mnist/",
    "CC BY-SA 3.0",
)
_FASHION_CARD = (
    "H. Xiao, K. Rasul, R. Vollgraf 2017, arXiv:1708.07747, "
    "github.com/zalandoresearch/fashion-mnist",
    "MIT",
)
_SPLIT = "value/255; rows as shipped, the last 10,000 training images for validation"
_DYNAMIC = (
    f"{_SPLIT}; training images are binarised anew in every minibatch, validation and test once, "
    "from a fixed seed or that of `draw` (Burda et al. 2016 binarise the test images anew too)"
)
# Which draw of the images that are binarised once. 0 is what all tables use; the rows of several
# say how far a number depends on it.
Drawing = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Grey:
    """Images (N, 1, H, W) in [0, 1] and labels (N,), by split."""

    x: dict[str, Tensor]
    labels: dict[str, Tensor]
    duplicates: int


def read_mnist(
    files: Files, wanted: tuple[File, ...], validation: int = 10_000, rows: int = 0
) -> Grey:
    """The four IDX files as grey images, `validation` training images split off at the end, `rows`
    of the others kept.

    Raises: MissingData, CorruptData.
    """
    contents = files.read_all(wanted)
    images, labels, test_images, test_labels = (
        idx(c, f.name) for c, f in zip(contents, wanted, strict=True)
    )
    _must_agree(images, labels, wanted[0].name)
    _must_agree(test_images, test_labels, wanted[2].name)
    cut = len(images) - validation
    kept = stratified_subset(labels[:cut], rows)
    x = {"train": images[:cut][kept], "validation": images[cut:], "test": test_images}
    y = {"train": labels[:cut][kept], "validation": labels[cut:], "test": test_labels}
    return Grey(
        {name: (split.float() / 255).unsqueeze(1) for name, split in x.items()},
        {name: split.long() for name, split in y.items()},
        duplicates(x["train"], x["test"]),
    )


def _must_agree(images: Tensor, labels: Tensor, who: str) -> None:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise CorruptData(
            f"{who} holds {tuple(images.shape)}, its labels {tuple(labels.shape)}; "
            "expected (N, H, W) and (N,)"
        )


def _data(
    name: str,
    grey: Grey,
    x: dict[str, Tensor],
    card: Card,
    likelihood: str,
    is_dynamic: bool = False,
) -> Data:
    shape = tuple(x["train"].shape[1:])
    return Data(
        name=name,
        spec=Spec(
            shape,
            likelihood,
            len(x["train"]),
            classes=10,
            is_dynamic=is_dynamic,
            latent=16,
            hidden=256,
            network="conv",
        ),
        card=card,
        labels=grey.labels,
        budget={"epochs": 50, "patience": 10},
        duplicates=grey.duplicates,
        **by_split(x),
    )


def _dynamic(name: str, grey: Grey, card: Card, draw: int) -> Data:
    seed = (name.partition("[")[0],) + ((draw,) if draw else ())
    fixed = {split: binarised_once(grey.x[split], *seed, split) for split in ("validation", "test")}
    return _data(
        name, grey, {"train": grey.x["train"], **fixed}, card, "bernoulli", is_dynamic=True
    )


@tags("image", "binary", "labelled", "files")
def mnist(files: Files, rows: Few = 0, draw: Drawing = 0) -> Data:
    """MNIST, 1×28×28, dynamically binarised.

    Training images anew in every minibatch, validation and test once: anew for every `draw`.
    """
    return _dynamic(
        named(mnist, rows=rows, draw=draw),
        read_mnist(files, MNIST, rows=rows),
        Card("MNIST, dynamic binarisation", *_MNIST_CARD, _DYNAMIC),
        draw,
    )


@tags("image", "binary", "labelled", "files")
def mnist_static(files: Files, rows: Few = 0) -> Data:
    """MNIST, 1×28×28, every image binarised once from a fixed seed (not Larochelle's file)."""
    grey = read_mnist(files, MNIST, rows=rows)
    x = {split: binarised_once(value, "mnist_static", split) for split, value in grey.x.items()}
    words = (
        f"{_SPLIT}; every image binarised once from a fixed seed; "
        "this is not Larochelle's binarisation (2011)"
    )
    return _data(
        named(mnist_static, rows=rows),
        grey,
        x,
        Card("MNIST, static binarisation", *_MNIST_CARD, words),
        "bernoulli",
    )


@tags("image", "real", "labelled", "files")
def mnist_grey(files: Files, rows: Few = 0) -> Data:
    """MNIST, 1×28×28, grey values in [0, 1].

    Normal, or continuous Bernoulli or discretised logistic if the spec says so.
    """
    grey = read_mnist(files, MNIST, rows=rows)
    words = (
        f"{_SPLIT}; not dequantised: "
        "a density (normal) on 256 levels has no upper limit, the logistic is a mass"
    )
    return _data(
        named(mnist_grey, rows=rows),
        grey,
        grey.x,
        Card("MNIST, grey", *_MNIST_CARD, words),
        "normal",
    )


@tags("image", "binary", "labelled", "files")
def fashion(files: Files, rows: Few = 0, draw: Drawing = 0) -> Data:
    """Fashion-MNIST, 1×28×28, dynamically binarised like `mnist`."""
    return _dynamic(
        named(fashion, rows=rows, draw=draw),
        read_mnist(files, FASHION, rows=rows),
        Card("Fashion-MNIST, dynamic binarisation", *_FASHION_CARD, _DYNAMIC),
        draw,
    )


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [mnist, mnist_static, mnist_grey, fashion]
