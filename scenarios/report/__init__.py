"""A recorded session read back: its page and its summary."""
