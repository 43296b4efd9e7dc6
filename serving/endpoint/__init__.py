"""The HTTP API of the deployed model."""
