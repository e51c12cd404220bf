"""What counts tell: Fisher information, bounds on errors, power of detection, and the most that the electrons sent could tell."""

from learn.information.averaged import AveragedTests, dose_for
from learn.information.decisions import Alternative, Case, Decisions
from learn.information.detection import Detection, Signature, Tests, detection_of
from learn.information.fisher import Bound, bound, fisher_information
from learn.information.quantum import classical_distance, distinguishability, quantum_fisher_information

__all__ = [
    "Alternative",
    "AveragedTests",
    "Bound",
    "Case",
    "Decisions",
    "Detection",
    "Signature",
    "Tests",
    "bound",
    "classical_distance",
    "detection_of",
    "distinguishability",
    "dose_for",
    "fisher_information",
    "quantum_fisher_information",
]
