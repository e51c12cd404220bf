"""The job `emtwin acquire replay-titanate`: recorded data as the instrument."""
