"""A simulated microscope with a hidden truth."""
