"""The built-in competition: faces that the kit draws itself.

Identity is geometry and colour (`Face`); pose, light, expression, what is in front, blur and noise
are nuisance (`View`).
"""

from starter.data.demo.competition import Compared, answers_of, ensure_demo, make_demo, score

__all__ = ["Compared", "answers_of", "ensure_demo", "make_demo", "score"]
