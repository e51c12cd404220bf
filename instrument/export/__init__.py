"""Provenance out and in again: recordings with their claims, verdicts and evidence in the formats of the field. Names are imported on first use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corrected": ["write_corrected"],
        "formats": ["FORMATS", "MissingExtra", "write"],
        "read": ["read_exported"],
        "record": ["Activity", "Agent", "Evidence", "Record", "Recording", "Sample", "Verdict"],
        "sidecar": ["sidecar"],
    },
)
