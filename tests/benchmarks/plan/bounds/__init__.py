"""Benchmark of Cramer-Rao bounds: how far estimates of maximum likelihood scatter, of the twin's own counts and of abTEM's."""

from tests.benchmarks.plan.bounds.scatter import cases

__all__ = ["cases"]
