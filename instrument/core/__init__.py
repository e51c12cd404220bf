"""The interface of an instrument, and the session on disk."""
