"""What figures of codes, of points and of the nearest training rows are drawn from.

Each function gives arrays, nothing where the model or its data have no such figure.
"""

import torch
from torch import Tensor

from ...core import Model, Unsupported, require_parts
from ...core.extent import as_long_as
from ...data.data import Data
from ...distributions import at_centre
from ...evaluation.batches import batches
from ...evaluation.codes import Codes, codes_of
from ...evaluation.subset import some_rows
from ...use import reader_of

UNITS = 5  # numbers of a code that are changed, one at a time
STEPS = 9  # pictures of each
PAIRS = 4  # test rows between which codes are interpolated
MAPPED = 1000  # rows whose codes are mapped, and of which codebook entries are counted
PIECE = 100  # of them at a time
POINTS = 1000  # of data with two columns; of tables
ROWS = 500
COLUMNS = 12  # of a table that are shown
SAMPLES = 32  # as many as the figure of samples has: then they are the same draws
NEIGHBOURS = 8  # of them whose nearest training rows are looked for
ENTRIES = 4096  # of a codebook at most
BY_LEVEL = {"levels", "top"}  # hyperparameters of variants with a codebook a level

Arrays = dict[str, Tensor]


def cloud(model: Model, data: Data, device: str) -> Arrays:
    """Of vectors: draws of x (N, D) beside as many test rows, in the units of the file; the names
    of their columns as the codes of letters, ended by 0.
    """
    if len(data.spec.shape) != 1:
        return {}
    n = min(POINTS if data.spec.shape[0] <= 2 else ROWS, len(data.test))
    rows = some_rows(data, "test", n)
    reader = reader_of(model)
    drawn = model.sample(n, _condition(data, rows, device))
    arrays = {
        "cloud": reader.back(drawn.cpu())[:, :COLUMNS],
        "cloud_data": reader.back(data.test[rows])[:, :COLUMNS],
    }
    letters = "".join(f"{name}\0" for name in reader.names[:COLUMNS])
    return arrays | (
        {"cloud_names": torch.tensor([ord(one) for one in letters])} if letters else {}
    )


def traversals(model: Model, data: Data, device: str) -> Arrays:
    """Of pictures: means of p(x|z) where one number of the code of the first test row is changed,
    (units, steps, *shape), from the 1 % to the 99 % quantile that it has over test rows. The units
    are those whose centres vary most.
    """
    if not data.spec.is_image:
        return {}
    decoder = require_parts(model, "a traversal").decoder
    start = _centres(model, data, 1, device)  # (1, D)
    units, values = _walks(_codes(model, data, device).flat)
    z = start.repeat(len(units), STEPS, 1)
    for i, unit in enumerate(units):
        z[i, :, unit] = values[i].to(z)
    c = _condition(data, torch.zeros(z[..., 0].numel(), dtype=torch.long), device)
    means = decoder(z.flatten(0, 1)[None], c).mean[0]
    return {
        "traversal": means.unflatten(0, (len(units), STEPS)),
        "traversal_values": values,
        "traversal_units": units,
    }


def _walks(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Of codes (N, D), the numbers that vary most, and values of each (units, steps)."""
    units = flat.var(0).argsort(descending=True)[:UNITS]
    ends = torch.quantile(flat[:, units], torch.tensor([0.01, 0.99]), 0)  # (2, units)
    return units, torch.lerp(ends[0], ends[1], torch.linspace(0, 1, STEPS)[:, None]).T


def interpolations(model: Model, data: Data, device: str) -> Arrays:
    """Of pictures: (pairs, steps + 2, *shape), a test row, means of p(x|z) on the straight line
    from its code to that of another, and that one. What reads labels is given those of the first.
    """
    if not data.spec.is_image:
        return {}
    decoder = require_parts(model, "an interpolation").decoder
    pairs = min(PAIRS, len(data.test) // 2)
    z = _centres(model, data, 2 * pairs, device).unflatten(0, (pairs, 2))
    weight = torch.linspace(0, 1, STEPS, device=z.device)[:, None]
    path = torch.lerp(z[:, :1], z[:, 1:], weight)  # (pairs, steps, D)
    c = _condition(data, torch.arange(0, 2 * pairs, 2).repeat_interleave(STEPS), device)
    means = decoder(path.flatten(0, 1)[None], c).mean[0].unflatten(0, (pairs, STEPS))
    ends = data.test[: 2 * pairs].unflatten(0, (pairs, 2)).to(means)
    return {"interpolation": torch.cat([ends[:, :1], means, ends[:, 1:]], 1)}


def latent_map(model: Model, data: Data, device: str) -> Arrays:
    """The centres of q(z|x) of test rows in two dimensions, (N, 2), with their labels (N,): as they
    are, or their two principal components, with the share of the variance that these have.
    """
    codes = _codes(model, data, device)
    if codes.is_discrete or codes.flat.shape[1] < 2:
        return {}
    z = codes.flat.double()
    share = z.new_ones(1)
    if z.shape[1] > 2:
        _, scale, axes = torch.linalg.svd(z - z.mean(0), full_matrices=False)
        z = (z - z.mean(0)) @ _signed(axes[:2]).T
        share = scale[:2].square().sum(0, keepdim=True) / scale.square().sum().clamp_min(1e-30)
    arrays = {"latent_map": z, "latent_share": share}
    if data.labels:
        arrays["latent_labels"] = data.labels["test"][codes.rows]
    return arrays


def _signed(axes: Tensor) -> Tensor:
    """The axes (2, D), each with its largest number positive: libraries differ in the sign."""
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return axes * largest.sign()


def neighbours(model: Model, data: Data, device: str) -> Arrays:
    """Of pictures without gaps: samples and the training rows nearest to them in Euclidean
    distance, (n, *shape), the distances (n,), and the median of those of test rows.
    """
    if not data.spec.is_image or data.spec.has_gaps:
        return {}
    n = min(SAMPLES, len(data.test))
    drawn = model.sample(n, _condition(data, torch.arange(n), device), mean=True)[:NEIGHBOURS].cpu()
    (distance, nearest) = _nearest(drawn, data.train)
    (of_test, _) = _nearest(data.test[some_rows(data, "test", PIECE)], data.train)
    return {
        "neighbour_sample": drawn,
        "neighbour": data.train[nearest],
        "neighbour_distance": distance,
        "neighbour_of_test": of_test.median()[None],
    }


def _nearest(x: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """Distance and index of the row that is nearest to each row of x, (N,) each."""
    best = torch.full((len(x),), torch.inf)
    index = torch.zeros(len(x), dtype=torch.long)
    for start in range(0, len(among), ENTRIES):
        rows = among[start : start + ENTRIES].flatten(1).cpu()
        distance, at = torch.cdist(x.flatten(1), rows).min(1)
        is_nearer = distance < best
        best = torch.where(is_nearer, distance, best)
        index = torch.where(is_nearer, at + start, index)
    return best, index


def codebook(model: Model, data: Data, device: str) -> Arrays:
    """Of discrete codes: how often each entry is used over test rows, the most used first, (M,).

    An entry is what stands on the last axis of a code, and unused ones are not among them. The
    number of all is that which the hyperparameter `size` says, of a model with one codebook; where
    each level has one, their entries are counted together, and the number is not known.
    """
    rows = some_rows(data, "test", MAPPED)
    found = []
    for x, c in batches(data.test[rows].to(device), _condition(data, rows, device), PIECE):
        with at_centre():
            latent = model.infer(x, c).latents[0]
        if not model.is_one_code or latent.z.ndim < 4:
            return {}
        found.append(latent.z[0].flatten(0, -2).cpu())
    entries = (torch.cat(found) * 1e4).round().long()
    counts = torch.unique(entries, dim=0, return_counts=True)[1].sort(descending=True).values
    if len(counts) > ENTRIES:
        raise Unsupported(f"more than {ENTRIES} entries are in use")
    size = _size_of_codebook(model)
    return {"codebook": counts} | ({"codebook_size": torch.tensor([size])} if size else {})


def _size_of_codebook(model: Model) -> int | None:
    """The number of entries of the only codebook, where it is known."""
    values = model.recipe.hyperparameters if model.recipe is not None else {}
    size = values.get("size")
    return size if isinstance(size, int) and not BY_LEVEL & set(values) else None


def _codes(model: Model, data: Data, device: str) -> Codes:
    """Of test rows, all latents side by side."""
    rows = some_rows(data, "test", MAPPED)
    pieces = batches(data.test[rows].to(device), _condition(data, rows, device), PIECE)
    return codes_of(model, iter(pieces), rows)


def _centres(model: Model, data: Data, n: int, device: str) -> Tensor:
    """The codes (n, D) of the first test rows.

    Raises: Unsupported where a code is no vector, or not the only one.
    """
    x = data.test[:n].to(device)
    with at_centre(), as_long_as(x):
        latents = model.infer(x, _condition(data, torch.arange(n), device)).latents
    if len(latents) != 1 or latents[0].z.ndim != 3:
        raise Unsupported("a code is no single vector")
    return latents[0].z[0]


def _condition(data: Data, rows: Tensor, device: str) -> Tensor | None:
    c = data.condition("test")
    return None if c is None else c[rows].to(device)
