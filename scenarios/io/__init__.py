"""Files, errors and progress that all jobs share."""
