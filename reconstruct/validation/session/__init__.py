"""Files of one session against each other and against the lens settings, and their timeline."""
