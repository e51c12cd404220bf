"""Deep-kernel Gaussian processes of maps: a small network on patches of a fine image makes features of their kernel."""

from learn.gp.deep_kernel.choice import ComparedMap
from learn.gp.deep_kernel.model import DeepGPMap
from learn.gp.deep_kernel.patches import patch_inputs

__all__ = ["ComparedMap", "DeepGPMap", "patch_inputs"]
