"""The true column, gun, holder and stage in time."""
