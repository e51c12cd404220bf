"""The job `emtwin instrument calibrate`: a column's constants from a table."""
