"""A simulation from a plan to its recording: specimen, beam, detectors, signal, averages, counts, axes and provenance."""
