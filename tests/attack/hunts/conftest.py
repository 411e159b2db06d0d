"""Hunts: properties that must hold of whatever comes over a border, for examples that Hypothesis
makes up. A few examples in every run of the tests, 10,000 of each by `make fuzz`.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "few",
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "fuzz", settings.get_profile("few"), max_examples=10_000, derandomize=False, print_blob=True
)
settings.load_profile("few")
