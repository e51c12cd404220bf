"""Tests of readers of vendor files."""

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
"""Encodings in which programs save logs."""
