"""Imported once by the fork server, so that every process that it forks has torch, the plugins and
the rest loaded already.

scikit-learn is loaded by the first data set or probe that uses it: two seconds in each trial,
unless it is here.
"""

import contextlib

import sklearn.datasets
import sklearn.linear_model
import sklearn.neighbors  # noqa: F401

from ...evaluation import measurement  # noqa: F401
from . import worker  # noqa: F401

with contextlib.suppress(Exception):  # what is wrong with a plugin is reported where it is used
    from ...registry import registry

    registry.load_registry()
