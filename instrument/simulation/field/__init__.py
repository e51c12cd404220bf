"""A simulated microscope that looks at a field of columns, some of which are changed."""
