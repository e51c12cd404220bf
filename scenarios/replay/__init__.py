"""The job `emtwin acquire replay`: recorded data as the instrument."""
