"""Detector Gram matrices of a specimen as smooth functions of thickness and tilt."""
