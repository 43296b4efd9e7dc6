"""Pantheon: nine ML-platform architectures, one ML workflow."""

__version__ = "0.1.0"
