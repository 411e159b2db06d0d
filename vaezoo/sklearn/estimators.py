"""The estimators: codes and densities, outliers, filled gaps."""

from typing import Any, Self

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from .. import use
from ..data.own import Auto
from ..seeds import seeded
from .trained import Array, Trained, seed_of


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Trained):  # type: ignore[misc]
    """A variant as a transformer to its codes, and as a density."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains a new model on the rows of X; y is not read.

        Raises: ValueError for what X or a parameter must not be, in one sentence.
        """
        self._train(X)
        codes = use.encode(self._exact, self._checked(X)[:1])
        self.code_shapes_ = [code.shape[1:] for code in codes]
        self._n_features_out = sum(code[0].size for code in codes)
        return self

    def transform(self, X: Any) -> Array:
        """The centres of q(z|x), (N, codes), those of the deepest latent first."""
        x = self._asked(X)
        codes = use.encode(self._exact, x)
        return np.concatenate([code.reshape(len(x), -1) for code in codes], 1)

    def inverse_transform(self, X: Any) -> Array:
        """The means of p(x|z) at codes (N, codes), in the units of the data: (N, D).

        Raises: ValueError where the model has more than one latent.
        """
        check_is_fitted(self)
        z = np.asarray(X, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self._n_features_out:
            raise ValueError(f"codes have shape (N, {self._n_features_out}), not {z.shape}")
        if len(self.code_shapes_) != 1:
            raise ValueError(f"{self.variant} has {len(self.code_shapes_)} latents; "
                             "only the codes of a single one are decoded")  # fmt: skip
        return use.decode(self._exact, z.reshape(len(z), *self.code_shapes_[0]))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draws of x, (n_samples, D); the same ones for the same random_state."""
        check_is_fitted(self)
        with seeded("sample", seed_of(random_state)):
            return use.sample(self._exact, n_samples)

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row in nats, (N,): an importance-weighted bound of `draws` draws.

        Raises: ValueError for a variant without a density.
        """
        return self._log_prob(self._asked(X))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p(x), in nats."""
        return float(self.score_samples(X).mean())


class VAEOutlierDetector(OutlierMixin, Trained):  # type: ignore[misc]
    """Rows whose log p(x) is below that of a share `contamination` of the training rows."""

    def __init__(
        self,
        variant: str = "vae",
        *,
        contamination: float = 0.1,
        epochs: int = 100,
        latent: int = 8,
        hidden: int = 128,
        network: str = "mlp",
        likelihood: str = "auto",
        standardise: bool | Auto = "auto",
        batch: int = 128,
        learning_rate: float = 1e-3,
        patience: int = 20,
        draws: int = 100,
        device: str = "cpu",
        random_state: Any = 0,
        **hyperparameters: Any,
    ) -> None:
        super().__init__(
            variant, epochs=epochs, latent=latent, hidden=hidden, network=network,
            likelihood=likelihood, standardise=standardise, batch=batch,
            learning_rate=learning_rate, patience=patience, draws=draws, device=device,
            random_state=random_state, **hyperparameters,
        )  # fmt: skip
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains a new model on the rows of X; y is not read.

        Raises: ValueError for what X or a parameter must not be, in one sentence.
        """
        if not 0 < self.contamination <= 0.5:
            raise ValueError(
                f"contamination={self.contamination}: expected a share of the rows in (0, 0.5]"
            )
        x = self._train(X)
        self.offset_ = float(np.percentile(self._log_prob(x), 100 * self.contamination))
        return self

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row in nats, (N,)."""
        return self._log_prob(self._asked(X))

    def decision_function(self, X: Any) -> Array:
        """log p(x) above the threshold, in nats, (N,): below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.typing.NDArray[np.int64]:
        """-1 for outliers and 1 for the others, (N,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, Trained):  # type: ignore[misc]
    """Fills NaN with its mean given the rest of the row, weighted over `draws` codes (Mattei &
    Frellsen 2019, arXiv:1812.02633). What is there stays as it is.
    """

    reads_gaps = True

    def __init__(
        self,
        variant: str = "missing",
        *,
        epochs: int = 100,
        latent: int = 8,
        hidden: int = 128,
        network: str = "mlp",
        likelihood: str = "auto",
        standardise: bool | Auto = "auto",
        batch: int = 128,
        learning_rate: float = 1e-3,
        patience: int = 20,
        draws: int = 100,
        device: str = "cpu",
        random_state: Any = 0,
        **hyperparameters: Any,
    ) -> None:
        super().__init__(
            variant, epochs=epochs, latent=latent, hidden=hidden, network=network,
            likelihood=likelihood, standardise=standardise, batch=batch,
            learning_rate=learning_rate, patience=patience, draws=draws, device=device,
            random_state=random_state, **hyperparameters,
        )  # fmt: skip

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains a new model on the rows of X, NaN where an entry is missing; y is not read.

        Raises: ValueError for what X or a parameter must not be, in one sentence.
        """
        self._train(X)
        return self

    def transform(self, X: Any) -> Array:
        """X with its gaps filled, (N, D)."""
        x = self._asked(X)
        full = x.copy()
        for i in np.flatnonzero(np.isnan(x).any(1)):
            with seeded("impute", self.seed_):
                full[i] = use.impute(self._exact, x[i : i + 1], draws=self.draws)
        return full
