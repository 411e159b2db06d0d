"""How well hidden cells of a table are filled, column by column."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ..columns import WORDED
from ..core import Model
from ..data.data import SPLITS, Data, by_split
from .context import Evaluation
from .metrics.columns import filled_by_model, filled_without_model, reader_of

if TYPE_CHECKING:
    import pandas as pd


def cells_by_column(model: Model, data: Data, split: str = "test", seed: int = 0) -> "pd.DataFrame":
    """A line for each column of a mixed table: its type, what is measured, and the error of the
    cells that were hidden, filled by the model and by scikit-learn's imputers. `rmse` is in
    deviations of the training rows (of amounts, of their logarithms), `wrong` a share of words. The
    metric `cells` is the mean over these lines.

    Raises: Unsupported where the data is no table of mixed columns, or has no gaps.
    """
    import pandas as pd

    data = _as_the_model_reads(model, data)
    reader = reader_of(data)
    found = {"model": filled_by_model(Evaluation(model.eval(), data, seed, split))}
    found |= filled_without_model(data, reader, split)
    types = {column.name: column.type for column in reader.columns}
    table = pd.DataFrame(found).reindex(list(types)).dropna(how="all")
    kinds = [types[name] for name in table.index]
    table.insert(0, "type", kinds)
    table.insert(1, "measure", ["wrong" if kind in WORDED else "rmse" for kind in kinds])
    return table


def _as_the_model_reads(model: Model, data: Data) -> Data:
    """The data with the codes and units that the model was trained in.

    Raises: BadData where it has other columns or words.
    """
    reader = model.data_reader
    if reader is None or not reader.columns or data.reader == reader:
        return data
    x = {split: data.read_by(reader, split) for split in SPLITS}
    spec = replace(data.spec, shape=tuple(x["train"].shape[1:]), likelihood=reader.likelihood)
    return replace(data, spec=spec, reader=reader, **by_split(x))
