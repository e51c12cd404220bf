"""What tables and keys of a simulation must not contradict, or be of no use for its signal: each rule tells (key, problem, cure)."""

import itertools
from collections.abc import Iterator

from twin.simulation.plan.keys import RADIUS
from twin.simulation.plan.tables import PROBES, AnnularPlan, EdgeMapPlan, PixelatedPlan, SegmentedPlan, Simulation

Contradiction = tuple[str, str, str]


def contradictions(plan: Simulation) -> Iterator[Contradiction]:
    """All that there are, the key, what is wrong with it, and the cure."""
    for rule in (_specimen, _beam, _tables, _unused, _detectors, _angles, _cameras, _dose, _compute):
        yield from rule(plan)


def _specimen(plan: Simulation) -> Iterator[Contradiction]:
    specimen = plan.specimen
    for name, direction in (("zone", specimen.zone), ("x", specimen.x)):
        if direction is not None and not any(direction):
            yield f"specimen.{name}", "[0, 0, 0] is no direction", "Give integers [u, v, w] that are not all 0."
    if specimen.repeats is not None and specimen.size is not None:
        yield "specimen.repeats", "is given together with size", "Leave one of them out."
    if specimen.cells is not None and specimen.thickness is not None:
        cure = "Give exactly one: thickness in angstrom, or cells along the beam."
        yield "specimen.thickness", "both thickness and cells are given", cure
    if specimen.phonons is not None and specimen.thermal != "none":
        problem = f"{specimen.thermal!r} and phonons count thermal motion twice"
        yield "specimen.thermal", problem, "Leave one of them out."


def _beam(plan: Simulation) -> Iterator[Contradiction]:
    beam, signal = plan.beam, plan.signal
    if signal in PROBES and beam.semiangle_mrad is None:
        yield (
            "beam.semiangle_mrad",
            f"is missing, and {signal} needs a probe",
            "Add the convergence semi-angle in mrad.",
        )
    if signal not in PROBES and beam.semiangle_mrad is not None:
        cure = "Leave it out, or ask for cbed, stem or 4d-stem."
        yield "beam.semiangle_mrad", f"a plane wave makes signal {signal!r}", cure
    if beam.defocus is not None and any(name in beam.aberrations for name in ("C10", "C1")):
        yield "beam.defocus", "defocus and C10 are the same aberration", "Leave one of them out (defocus = -C10)."
    if beam.focal_spread is not None and (beam.cc is not None or beam.energy_spread is not None):
        yield "beam.focal_spread", "is given beside cc and energy_spread", "Give it, or the two that it follows from."
    if (beam.cc is None) != (beam.energy_spread is None) and beam.focal_spread is None:
        yield "beam.cc", "focal spread follows from cc and energy_spread together", "Give both, or focal_spread."


def _tables(plan: Simulation) -> Iterator[Contradiction]:
    signal = plan.signal
    for table, used in (("scan", ("stem", "4d-stem")), ("lens", ("hrtem", "diffraction"))):
        if getattr(plan, table) is not None and signal not in used:
            yield table, f"signal {signal!r} has no use for it", f"Leave [{table}] out; it is for {', '.join(used)}."
    if signal in ("stem", "4d-stem") and plan.scan is None:
        yield "scan", f"is missing, and {signal} needs it", "Add [scan] with shape = [ny, nx]."
    if plan.grid.gpts is not None and plan.grid.sampling is not None:
        yield "grid.gpts", "is given together with sampling", "Leave one of them out."


def _unused(plan: Simulation) -> Iterator[Contradiction]:
    """Keys given in a table that the signal uses, of which it does not use these."""
    signal, lens, beam = plan.signal, plan.lens, plan.beam
    if lens is not None:
        idle = ("selected_area",) if signal == "hrtem" else ("aperture_mrad", "edge_mrad", "vibration", "defoci")
        other = "diffraction" if signal == "hrtem" else "hrtem"
        for name in idle:
            if getattr(lens, name):
                yield f"lens.{name}", f"signal {signal!r} has no use for it", f"Leave it out; it is for {other}."
        if lens.edge_mrad is not None and lens.aperture_mrad is None:
            yield "lens.edge_mrad", "is the edge of an aperture, and none is given", "Give aperture_mrad, too."
    if any(beam.position) and signal not in ("cbed", "ronchigram"):
        cure = "Leave it out; it is for cbed and ronchigram" + (" (scan.start places a scan)." if plan.scan else ".")
        yield "beam.position", f"signal {signal!r} has no use for it", cure
    if beam.source and signal not in PROBES:
        yield "beam.source", f"signal {signal!r} has no use for it", "Give lens.convergence_mrad, or leave it out."


def _detectors(plan: Simulation) -> Iterator[Contradiction]:
    signal = plan.signal
    pixelated = [name for name, detector in plan.detectors.items() if isinstance(detector, PixelatedPlan)]
    if signal == "stem":
        if not plan.detectors:
            cure = "Add [detectors.NAME] with kind, inner_mrad and outer_mrad."
            yield "detectors", "is missing: a STEM image needs a detector", cure
        elif len(pixelated) == len(plan.detectors):
            cure = 'Use signal = "4d-stem", or add detectors of other kinds.'
            yield f"detectors.{pixelated[0]}", "a pixelated detector makes no image", cure
        for name in pixelated[1:]:
            yield f"detectors.{name}", f"{pixelated[0]} is pixelated already", "Leave one of them out."
        return
    most = 0 if signal in ("hrtem", "exit-wave") else 1
    if len(plan.detectors) > most or len(pixelated) < len(plan.detectors):
        yield (
            "detectors",
            f"signal {signal!r} takes {'one pixelated detector' if most else 'none'}",
            "Leave the others out.",
        )


def _angles(plan: Simulation) -> Iterator[Contradiction]:
    for name, detector in plan.detectors.items():
        if isinstance(detector, EdgeMapPlan) and detector.window[0] >= detector.window[1]:
            problem = f"{list(detector.window)} eV does not rise"
            yield f"detectors.{name}.window", problem, "Give the lower energy loss first."
        if isinstance(detector, AnnularPlan) and detector.inner_mrad >= detector.outer_mrad:
            problem = f"{detector.inner_mrad:g} mrad is not below outer_mrad = {detector.outer_mrad:g}"
            yield f"detectors.{name}.inner_mrad", problem, "Give 0 <= inner_mrad < outer_mrad."
        if isinstance(detector, SegmentedPlan):
            rings = [outer - inner for inner, outer in itertools.pairwise(detector.radii_mrad)]
            key = f"detectors.{name}.radii_mrad"
            if min(rings) <= 0.0:
                yield key, f"{list(detector.radii_mrad)} mrad do not rise", "Give radii that rise, the innermost first."
            elif (right := RADIUS.right(max(detector.radii_mrad))) is not None:
                yield key, f"{max(detector.radii_mrad):g} mrad is the outermost", f"Is that in rad? Write {right:g}."
            elif detector.gap_mrad >= min(rings):
                problem = f"{detector.gap_mrad:g} mrad is as wide as the narrowest ring, {min(rings):.4g} mrad"
                yield f"detectors.{name}.gap_mrad", problem, "Give a narrower gap, or wider rings."


def _cameras(plan: Simulation) -> Iterator[Contradiction]:
    for name, detector in plan.detectors.items():
        if not isinstance(detector, PixelatedPlan):
            continue
        key, both = f"detectors.{name}", "Give shape and pixel_mrad, or reach_mrad and bin."
        if (detector.shape is None) != (detector.pixel_mrad is None):
            yield key, "shape and pixel_mrad belong together", "Give both, or reach_mrad and bin."
        if detector.shape is not None and (detector.reach_mrad is not None or detector.bin != 1):
            yield key, "shape is given beside reach_mrad or bin", both
        if detector.shape is None and (detector.rotation != 0.0 or detector.offset_mrad != (0.0, 0.0)):
            yield key, "only a camera with pixels of its own is turned or shifted", "Give shape and pixel_mrad."


def _dose(plan: Simulation) -> Iterator[Contradiction]:
    signal, dose = plan.signal, plan.dose
    if plan.camera is not None and plan.camera.saturation is not None and plan.camera.saturation <= plan.camera.dark:
        problem = f"{plan.camera.saturation:g} counts are not above the dark level, camera.dark = {plan.camera.dark:g}"
        yield "camera.saturation", problem, "Give more, or leave it out."
    if plan.camera is not None and dose is None:
        yield "camera", "makes counts of electrons, of which there are none", "Add [dose], or leave [camera] out."
    elif plan.camera is not None and (signal == "exit-wave" or (signal == "stem" and not plan.patterned)):
        yield "camera", f"signal {signal!r} has none", "Leave [camera] out."
    if dose is None:
        return
    if signal == "exit-wave":
        yield "dose", "a wave is not counted", 'Leave [dose] out, or ask for signal = "hrtem".'
    if (dose.per_area is None) == (dose.electrons is None):
        yield "dose", "one number is needed", "Give exactly one of per_area and electrons."
    elif dose.per_area is not None and signal in ("diffraction", "cbed", "ronchigram"):
        yield "dose.per_area", "one pattern covers no area of a scan", "Give electrons, of the whole pattern."
    elif dose.electrons is not None and signal == "hrtem":
        cure = "Give per_area in electrons per square angstrom."
        yield "dose.electrons", "an image is taken at a dose per area", cure


def _compute(plan: Simulation) -> Iterator[Contradiction]:
    if plan.compute.form != "auto" and plan.signal != "stem":
        yield "compute.form", f"signal {plan.signal!r} has one form only", "Leave it out; it is for stem."
    elif plan.patterned and plan.compute.form not in ("auto", "direct"):
        problem = f"{plan.compute.form!r} makes no patterns, which a pixelated detector is for"
        yield "compute.form", problem, 'Leave it "auto".'
