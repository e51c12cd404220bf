"""The mode of a column from its lens settings, and what records claim of it."""
