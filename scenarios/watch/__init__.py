"""The job `emtwin watch`: an instrument, a session or a log followed by its sensors."""
