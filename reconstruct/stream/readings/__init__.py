"""Readings on their way into the filter: checked, aligned in time, binned, preprocessed."""
