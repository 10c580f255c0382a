"""Hypothesis, set for a machine that may be busy: no deadline on a single example."""

from hypothesis import HealthCheck, settings

settings.register_profile("guilder", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("guilder")
