"""Imported once by the fork server, so that every process that it forks has torch, the plugins and
the rest loaded already.

scikit-learn is loaded by the first data set or probe that uses it: two seconds in each trial,
unless it is here.
"""

import contextlib

from .keeper import divide
from .memory import keep_what_is_freed

divide()  # before anything large is loaded: what stays behind is small
keep_what_is_freed()

import sklearn.datasets  # noqa: E402
import sklearn.linear_model  # noqa: E402
import sklearn.neighbors  # noqa: E402, F401

from ...evaluation import measurement  # noqa: E402, F401
from . import worker  # noqa: E402, F401
from .quiet import hush  # noqa: E402

hush()
with contextlib.suppress(Exception):  # what is wrong with a plugin is reported where it is used
    from ...registry import registry

    registry.load_registry()
