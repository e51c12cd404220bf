"""A recorded session: reading, summary and report page."""
