"""Benchmark of EELS: cross-sections, sum rules, transition potentials."""
