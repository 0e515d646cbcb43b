from .claim import Check as Check
from .claim import Claim as Claim
from .claim import Finding as Finding
from .claim import by_seed as by_seed
from .claim import judge as judge
from .claim import table as table
from .claim import verdict as verdict
from .registry import CLAIMS as CLAIMS
