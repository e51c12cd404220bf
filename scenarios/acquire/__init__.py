"""The job `emtwin acquire`: requests answered from the twin where it is sure, measured where it is not."""
