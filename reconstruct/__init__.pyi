from .api.calibrate import calibrate as calibrate
from .api.measure import measure as measure
from .api.models import load_model as load_model
from .api.validate import validate as validate
from .api.validate_session import validate_session as validate_session
from .inference.belief import Belief as Belief
from .stream.observation import Observation as Observation
from .stream.stream import Stream as Stream
