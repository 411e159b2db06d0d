"""A mean over rows that knows its rows."""

from torch import Tensor

__all__ = ["RowMean"]


class RowMean(float):
    """A number of a metric that is the mean of `values` (N,) over rows, or with `weights` (N,)
    their sum over that of the weights. It is a float that knows its rows: they are kept with
    the trial.
    """

    # (N,), whose mean this number is; the spread of their mean is that of this number
    of_rows: Tensor

    def __new__(cls, values: Tensor, weights: Tensor | None = None) -> "RowMean":
        values = values.detach().double()
        if weights is None:
            made = super().__new__(cls, float(values.mean()))
            made.of_rows = values
            return made

        # of a ratio r, each row's influence: r + (v - r w) / mean w, the delta method
        weights = weights.detach().double()
        made = super().__new__(cls, float(values.sum() / weights.sum()))
        made.of_rows = made + (values - made * weights) / weights.mean()
        return made

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        """A copy or a message of it is the number alone."""
        return float, (float(self),)
