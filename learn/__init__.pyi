from .api import plan as plan
from .design.exposure_design import Exposure as Exposure
from .discrepancy.field import Discrepancy as Discrepancy
from .fitting.constants import fit_constants as fit_constants
from .gp.spectra import GPMap as GPMap
from .mapping.host import Host as Host
from .mapping.replay import replay as replay
