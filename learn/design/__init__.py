"""Decisions: whether to measure, and which exposure."""
