"""Which form a STEM image is made in: chosen after everything else was checked, since weighing them takes seconds."""

import numpy as np

from twin.errors import BadInput, from_twin
from twin.optics.illumination import Illumination
from twin.scattering.stem.algorithms import FLOAT32_ERROR, Form, choose, forms
from twin.scattering.stem.beams import Response
from twin.scattering.stem.scene import Scene
from twin.simulation.losses import loss_notes
from twin.simulation.plan.tables import Simulation
from twin.simulation.ready import FOCI, Ready


def with_form(ready: Ready) -> Ready:
    """``ready`` with the form of its STEM image, and a note where that is not exact; of other signals as it is."""
    if ready.scene is None or ready.illumination is None:
        return ready
    ready = _image_form(ready, ready.scene, ready.illumination)
    return ready._replace(notes=(*ready.notes, *loss_notes(ready)))


def _image_form(ready: Ready, scene: Scene, beam: Illumination) -> Ready:
    wanted = ready.plan.compute.form
    if ready.plan.patterned:  # which every probe has of its own
        return ready._replace(form=Form("direct", 0.0, FLOAT32_ERROR))
    if ready.windows and (scene.cell is None or not ready.responses):
        # maps of a crystal come from its unit cell, others from the waves of probes
        name = "direct" if scene.cell is None else "crystal"
        if wanted not in ("auto", name):
            cure = f'Leave it "auto", or give "{name}".'
            raise BadInput("compute.form", f"{wanted!r} does not make core-loss maps of this specimen", cure)
        return ready._replace(form=Form(name, 0.0, FLOAT32_ERROR))
    form = _form(ready.plan, scene, beam, ready.axes, ready.responses)
    note = f"the image is made in a quicker form ({form}): exact to {100 * form.error:.2f} %"
    return ready._replace(form=form, notes=(*ready.notes, note) if form.error > FLOAT32_ERROR else ready.notes)


def _form(
    plan: Simulation,
    scene: Scene,
    beam: Illumination,
    axes: tuple[np.ndarray, np.ndarray],
    responses: tuple[Response, ...],
) -> Form:
    """The quickest form of a STEM image within the tolerance, or the one that is named; BadInput if there is none."""
    wanted = plan.compute
    name = None if wanted.form == "auto" else wanted.form
    possible = forms(scene, beam, *axes, responses, FOCI, int(wanted.memory_MB * 1e6), name)
    named = [form for form in possible if name in (None, form.name)]
    if not named:
        raise BadInput(
            "compute.form",
            f"{wanted.form!r} is not possible here; possible are {', '.join(sorted({form.name for form in possible}))}",
            'Leave it "auto", or raise compute.memory_MB; "crystal" is for atoms at rest without vacancies.',
        )
    try:
        return choose(named, wanted.tolerance, name)
    except ValueError as error:
        raise from_twin("compute.tolerance", error, "Raise it, or choose another form.") from None
