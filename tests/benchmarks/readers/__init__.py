"""Benchmark of `readers`: corrupted files of every format, and how long many small files take."""
