"""One recipe, a grid of changes, several seeds -> one table.

    python -m starter.study configs/studies/NAME.yaml [key=value ...]

The same command continues a study that was stopped: what is trained is not trained again.
"""
