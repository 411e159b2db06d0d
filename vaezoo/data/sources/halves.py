"""Any data set whose x is cut in two: the halves are views of one thing."""

from collections.abc import Callable
from dataclasses import replace

from ...core import Spec, View
from ...hooks import hookimpl, tags
from ..data import Data, named
from ..files import BadData


@tags("views", "derived")
def halves(load: Callable[[str], Data], of: str = "digits") -> Data:
    """Another data set, its x cut into two views.

    They are the upper and the lower half of an image of one channel, the first and the last
    channels of a sequence, or entries of a vector. The values are as they were. `load`
    gives the data of a name.

    Raises: BadData for what has no halves.
    """
    source = load(of)
    if source.reader is not None and source.reader.columns:
        raise BadData(
            f"{of} is a table of mixed columns, whose words take several entries each, so that its "
            "middle may be inside a word"
        )
    card = replace(source.card, processing=f"{source.card.processing}; cut into halves as views")
    spec = replace(source.spec, has_gaps=True, views=_halves(source.spec, of))
    return replace(source, name=named(halves, of=of), spec=spec, card=card)


def _halves(spec: Spec, of: str) -> tuple[View, View]:
    shape = spec.shape
    if spec.is_image and shape[0] == 1 and shape[1] > 1:
        rows, width = shape[1:]
        return View("upper", (1, rows // 2, width)), View("lower", (1, rows - rows // 2, width))
    if not spec.is_image and shape[-1] > 1:
        first = shape[-1] // 2
        return (
            View("first", (*shape[:-1], first)),
            View("last", (*shape[:-1], shape[-1] - first)),
        )
    raise BadData(
        f"{of} has x of shape {shape}; halves are of images of one channel, of vectors and of "
        "sequences of more than one number"
    )


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [halves]
