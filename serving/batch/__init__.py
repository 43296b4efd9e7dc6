"""Predict the rows of a file: ``python -m serving.batch``, a task of the service ``workflow``."""
