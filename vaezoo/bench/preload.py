"""Imported once by the fork server, so that every process that it forks has torch and the plugins loaded already."""

import torch  # noqa: F401

from . import worker  # noqa: F401

try:
    from .. import registry

    registry.load()
except Exception:  # what is wrong with a plugin is reported where it is used
    pass
