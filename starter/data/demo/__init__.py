"""The built-in competition: faces that the kit draws itself.

Identity is geometry and colour (`Face`); pose, light, expression, what is in front, blur and noise
are nuisance (`View`).
"""

from starter.data.demo.answers import Compared, score
from starter.data.demo.competition import answers_of, ensure_demo, make_demo

__all__ = ["Compared", "answers_of", "ensure_demo", "make_demo", "score"]
