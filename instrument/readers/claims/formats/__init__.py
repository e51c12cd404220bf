"""Claims of one format a module: ``RULES`` (which key is which field, in which unit), ``TIMES`` (which keys are times, and of what), ``claims``."""
