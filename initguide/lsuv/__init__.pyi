from .lsuv import LsuvReport as LsuvReport
from .lsuv import lsuv_ as lsuv_
