"""What a run is: recipes, their schema and their errors. Imports nothing else of the kit."""

from starter.errors import UserError
from starter.recipe.load import differences, load, to_yaml
from starter.recipe.schema import Recipe
