"""Benchmarks: every number the project claims, printed by ``python -m tests.benchmarks NAME``."""
