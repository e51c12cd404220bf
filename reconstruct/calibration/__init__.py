"""A column's constants from a table of settings and what was measured at them."""
