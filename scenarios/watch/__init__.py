"""The job `emtwin watch`: state estimation from the sensors of an instrument, a session or a log."""
