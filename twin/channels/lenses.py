"""Names of lenses: as each vendor has them, and ours."""

THERMO_LENSES = {
    "C1LensIntensity": "lens.condenser1",
    "C2LensIntensity": "lens.condenser2",
    "C3LensIntensity": "lens.condenser3",
    "MiniCondenserLensIntensity": "lens.minicondenser",
    "ObjectiveLensIntensity": "lens.objective",
    "LorentzLensIntensity": "lens.lorentz",
    "DiffractionLensIntensity": "lens.diffraction",
    "IntermediateLensIntensity": "lens.intermediate",
    "Projector1LensIntensity": "lens.projector1",
    "Projector2LensIntensity": "lens.projector2",
}
"""Thermo's names of normalised lens intensities, and ours."""
TIA_LENSES = {
    "C1 lens": "lens.condenser1",
    "C2 lens": "lens.condenser2",
    "C3 lens": "lens.condenser3",
    "Objective lens": "lens.objective",
    "Diffraction lens": "lens.diffraction",
}
"""Names of lenses in TIA files, whose currents are given in percent."""
JEOL_LENSES = {
    "CL1": "lens.condenser1",
    "CL2": "lens.condenser2",
    "CL3": "lens.condenser3",
    "CM": "lens.minicondenser",
    "IL1": "lens.intermediate1",
    "IL2": "lens.intermediate2",
    "IL3": "lens.intermediate3",
    "IL4": "lens.intermediate4",
    "PL1": "lens.projector1",
    "PL2": "lens.projector2",
    "PL3": "lens.projector3",
}
"""JEOL's names of lens words, and ours. The objective has two, OLc and OLf (`from_jeol`)."""
