"""A person beside a running session."""
