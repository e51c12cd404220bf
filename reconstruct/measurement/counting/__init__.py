"""Counting statistics of images."""
