"""A metric is a file in `evaluation/metrics`: nothing else names it."""

import importlib
import pkgutil

import pytest

from vaezoo.evaluation import metrics
from vaezoo.registry import registry


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(metrics.__path__)])
def test_every_file_of_metrics_brings_metrics_and_they_are_found(name):
    brought = importlib.import_module(f"{metrics.__name__}.{name}").vaezoo_metrics()
    assert brought
    assert {metric.name for metric in brought} <= registry.load().metrics.keys()
