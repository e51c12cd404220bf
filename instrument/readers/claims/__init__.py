"""Claims in the metadata of foreign files: for each format which key holds which field of `twin.channels.FIELDS`, in which unit."""

from instrument.readers.claims.collect import claims_of

__all__ = ["claims_of"]
