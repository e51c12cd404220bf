"""Gaussian processes over scanned maps."""
