"""What all estimators share: the variant and its training, the answers, the pickle."""

import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import use
from ..data.data import Card, Data
from ..data.own import HELD_OUT, Auto, own_data
from ..data.raw import Raw
from ..registry.registry import load_registry
from ..registry.selection import SelectionError
from ..seeds import seeded
from ..training.packed import from_bytes, to_bytes
from ..training.settings import split_settings
from ..training.training import fit

Array = np.typing.NDArray[Any]  # of float64


class Trained(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A variant with its parameters, and the model that it became. Abstract."""

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
        self.seed_ = seed_of(self.random_state)
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


def seed_of(random_state: Any) -> int:
    """An integer is the seed itself, as on the command line."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))
