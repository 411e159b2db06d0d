"""A metric is a file in `evaluation/metrics`: nothing else names it."""

import importlib
import pkgutil

import pytest

from vaezoo.evaluation import metrics
from vaezoo.evaluation.measurement import known_metrics, measured_by_sampler
from vaezoo.hooks import Column, Metric, Table
from vaezoo.registry import registry


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(metrics.__path__)])
def test_every_file_of_metrics_brings_metrics_and_they_are_found(name):
    brought = importlib.import_module(f"{metrics.__name__}.{name}").vaezoo_metrics()
    assert brought
    assert {metric.name for metric in brought} <= registry.load_registry().metrics.keys()


def strange(table: Table | None = None, of: str = "", column: str = "") -> Metric:
    return Metric("strange", (Column("odd", "", "", column),), lambda evaluation: {}, table, of)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (strange(Table("oddities"), of="samples"), True),
        (strange(column="fid"), True),  # as pages of the first version had it
        (strange(column="sequence"), False),  # where only some of ours are of samples
        (strange(Table("oddities")), False),
        (strange(), False),
    ],
)
def test_what_judges_samples_is_measured_for_every_sampler(metric, expected):
    assert measured_by_sampler([metric], known_metrics()) == ([metric] if expected else [])


def test_of_ours_those_that_draw_are_measured_for_every_sampler():
    found = measured_by_sampler(known_metrics(), known_metrics())
    assert [metric.name for metric in found] == [
        "columns",
        "joint_coherence",
        "judges",
        "modes",
        "samples",
    ]
