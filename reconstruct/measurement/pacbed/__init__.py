"""Position-averaged patterns of a known crystal: thickness and tilt."""
