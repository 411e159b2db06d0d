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

from .estimators import VAE, VAEImputer, VAEOutlierDetector

__all__ = ["VAE", "VAEImputer", "VAEOutlierDetector"]
