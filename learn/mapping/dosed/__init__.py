"""A map over a scan by exposures of single pixels, each for the dwell time that pays most."""
