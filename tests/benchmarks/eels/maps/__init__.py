"""Core-loss maps: `core_loss` is the part; ``abtem_maps.py`` runs in an environment with GPAW."""
