"""The state in time: a belief that follows the readings of an instrument, and its smoother."""
