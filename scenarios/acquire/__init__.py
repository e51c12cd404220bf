"""The job `emtwin acquire`: requests answered by the twin where its predicted error is small, and measured elsewhere."""
