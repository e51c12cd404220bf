"""Validators of other projects, each in an environment of its own: they need versions of libraries that are not emtwin's, and a gigabyte."""
