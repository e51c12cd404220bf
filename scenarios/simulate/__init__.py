"""The job ``emtwin simulate``: plan, reading -> specimen, beam, detection -> ready -> signals -> recording -> job; files, drawings, show."""
