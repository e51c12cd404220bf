"""Recordings as they are measured: what may be known of them, their checked numbers, the part that is used, and the result beside what they claim."""
