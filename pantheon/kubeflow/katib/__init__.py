"""Katib's ``Experiment`` and ``Trial`` without a cluster: the search runs here, every trial as a local process."""
