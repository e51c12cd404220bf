"""Rules that need no measurement: ranges of fields, modes, arithmetic within a file, times."""
