"""The job `emtwin instrument learn-sensors`: a sensor table from a log."""
