from .claim import Check as Check
from .claim import CheckResult as CheckResult
from .claim import Claim as Claim
from .claim import by_seed as by_seed
from .claim import evaluate as evaluate
from .claim import table as table
from .claim import verdict as verdict
from .registry import CLAIMS as CLAIMS
