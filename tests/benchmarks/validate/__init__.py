"""Benchmark of `validate`: faults injected into the metadata of recordings whose truth is known."""
