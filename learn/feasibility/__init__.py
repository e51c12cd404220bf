"""Which way of recording answers a question about a specimen, and at which dose, by the twin's own signals of every hypothesis."""

from learn.feasibility.assessment import DOSES, Asked, Assessment, assess
from learn.feasibility.hypotheses import Change, Hypotheses, hypotheses_of

__all__ = ["DOSES", "Asked", "Assessment", "Change", "Hypotheses", "assess", "hypotheses_of"]
