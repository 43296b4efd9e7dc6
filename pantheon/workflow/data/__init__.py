"""Datasets: spec, inference, formats and cleaning of cells."""
