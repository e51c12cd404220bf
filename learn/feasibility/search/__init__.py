"""Search over settings of an option: the dose that it needs as a smooth function of them, climbed down by gradients through the simulators."""

from learn.feasibility.search.climbing import Found, Visit, climb
from learn.feasibility.search.front import Candidate, front
from learn.feasibility.search.imaging import Images
from learn.feasibility.search.scanning import Scans, narrowed
from learn.feasibility.search.smooth import Signals, log_dose

__all__ = ["Candidate", "Found", "Images", "Scans", "Signals", "Visit", "climb", "front", "log_dose", "narrowed"]
