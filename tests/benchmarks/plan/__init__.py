"""Benchmark of planning: what a question costs, and whether what is promised holds."""
