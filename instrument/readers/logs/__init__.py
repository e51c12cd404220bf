"""Readers of sensor logs."""
