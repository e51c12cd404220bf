"""What every instrument can do, and what a session is on disk."""
