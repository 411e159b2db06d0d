"""Any variant as an estimator of scikit-learn: codes, densities, outliers, filled gaps.

    from vaezoo.sklearn import VAE, VAEImputer, VAEOutlierDetector
    codes = VAE("beta", beta=4, epochs=50).fit_transform(X)

X is (N, D): an array, a table of pandas or a sparse matrix; log p(x) is in nats, of the values in
their own units. A hyperparameter of the variant is a keyword of its own; one that shares its name
with a parameter below, such as the `likelihood` of `mix`, goes into the text of the variant:
VAE("mix[likelihood=student_t]").

Training is in float32, as everywhere. What a fitted estimator answers is computed in float64, and
one row at a time where codes are drawn, the same draws for each: an answer does not depend on the
other rows that were asked about.
"""

import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from . import use
from .data.data import Card, Data
from .data.own import HELD_OUT, Auto, own_data
from .data.raw import Raw
from .registry.registry import load_registry
from .registry.selection import SelectionError
from .seeds import seeded
from .training.packed import from_bytes, to_bytes
from .training.settings import split_settings
from .training.training import fit

Array = np.typing.NDArray[Any]  # of float64

__all__ = ["VAE", "VAEImputer", "VAEOutlierDetector"]


class _Trained(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What all three share: the variant and its training, the answers row by row, the pickle."""

    reads_gaps = False

    def __init__(
        self,
        variant: str = "vae",
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
        draws: int = 100,  # of a code, a row
        device: str = "cpu",  # of the training
        random_state: Any = 0,
        **hyperparameters: Any,
    ) -> None:
        self.variant = variant
        self.epochs = epochs
        self.latent = latent
        self.hidden = hidden
        self.network = network
        self.likelihood = likelihood
        self.standardise = standardise
        self.batch = batch
        self.learning_rate = learning_rate
        self.patience = patience
        self.draws = draws
        self.device = device
        self.random_state = random_state
        for name, value in hyperparameters.items():
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters, and those hyperparameters of the variant that were given."""
        return super().get_params(deep) | self._hyperparameters()

    def set_params(self, **params: Any) -> Self:
        """Raises: ValueError for what neither the estimator nor the variant has."""
        known = self.get_params(deep=False)
        if new := sorted(params.keys() - known):
            choices = load_registry().choose_variants(str(params.get("variant", self.variant)))
            of_variant = choices[0].entry.hyperparameters
            if unknown := [name for name in new if name not in of_variant]:
                raise ValueError(
                    f"Invalid parameter {unknown[0]!r} for estimator {self}. "
                    f"Valid parameters are: {sorted([*known, *of_variant])!r}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _hyperparameters(self) -> dict[str, Any]:
        named = self._get_param_names()
        return {
            name: value
            for name, value in vars(self).items()
            if name not in named and not name.startswith("_") and not name.endswith("_")
        }

    def _train(self, X: Any) -> Array:
        """X (N, D), once the model is trained on it."""
        x = self._checked(X, reset=True)
        self.seed_ = _seed_of(self.random_state)
        choices = load_registry().choose_variants(self.variant)
        if len(choices) != 1:
            raise SelectionError(f"{self.variant!r} names {len(choices)} variants; name one")

        names = ("epochs", "batch", "learning_rate", "patience", "latent", "hidden", "network")
        budget, size = split_settings({name: getattr(self, name) for name in names})
        data = self._data(x, size)
        with seeded("weights", self.seed_):
            values = {**choices[0].values, **self._hyperparameters()}
            model = choices[0].entry(data.spec, **values)
        history = fit(model, data, seed=self.seed_, device=self.device, **budget)
        self.model_ = model.cpu()
        self._exact = copy.deepcopy(self.model_).double()
        self.n_iter_ = len(history.rows)
        self.validation_loss_ = history.rows[history.best_epoch - 1]["validation_loss"]
        return x

    def _data(self, x: Array, size: dict[str, Any]) -> Data:
        """A seeded part of the rows is for validation, which chooses the epoch; a test split is of
        no use here, and is that of validation.
        """
        seen = x[~np.isnan(x).all(1)]
        held = max(1, round(HELD_OUT * len(seen)))
        order = np.random.default_rng(self.seed_).permutation(len(seen))
        names = tuple(map(str, getattr(self, "feature_names_in_", ())))
        validation = Raw(seen[np.sort(order[:held])])
        data = own_data(
            {
                "train": Raw(seen[np.sort(order[held:])], names=names),
                "validation": validation,
                "test": validation,
            },
            "X",
            Card("X", "given to fit", "the user's own", ""),
            likelihood=self.likelihood,
            standardise=self.standardise,
            gaps=self.reads_gaps,
            missing=None,
        )
        return replace(data, spec=replace(data.spec, has_gaps=self.reads_gaps, **size))

    def _checked(self, X: Any, reset: bool = False) -> Array:
        x = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=np.float64,
            ensure_all_finite="allow-nan" if self.reads_gaps else True,
            ensure_min_samples=2 if reset else 1,
        )
        return x if isinstance(x, np.ndarray) else x.toarray()

    def _asked(self, X: Any) -> Array:
        check_is_fitted(self)
        return self._checked(X)

    def _log_prob(self, x: Array) -> Array:
        self._must_hold(x)
        return use.log_prob(self._exact, x, draws=self.draws, alike_by=self.seed_)

    def _must_hold(self, x: Array) -> None:
        """Raises: ValueError where x has values that the likelihood does not speak of."""
        recipe = self.model_.recipe
        if recipe is not None:
            use.must_hold(self.model_, x, recipe.spec)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.reads_gaps
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Models as the bytes of a checkpoint: what is in a pickle of ours is no module of ours."""
        state = dict(super().__getstate__())
        state.pop("_exact", None)
        if "model_" in state:
            state["model_"] = to_bytes(state["model_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.get("model_")
        if isinstance(content, bytes):
            model = from_bytes(content)
            state = state | {"model_": model, "_exact": copy.deepcopy(model).double()}
        super().__setstate__(state)


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Trained):  # type: ignore[misc]
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
        with seeded("sample", _seed_of(random_state)):
            return use.sample(self._exact, n_samples)

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row in nats, (N,): an importance-weighted bound of `draws` draws.

        Raises: ValueError for a variant without a density.
        """
        return self._log_prob(self._asked(X))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p(x), in nats."""
        return float(self.score_samples(X).mean())


class VAEOutlierDetector(OutlierMixin, _Trained):  # type: ignore[misc]
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


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, _Trained):  # type: ignore[misc]
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


def _seed_of(random_state: Any) -> int:
    """An integer is the seed itself, as on the command line."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))
