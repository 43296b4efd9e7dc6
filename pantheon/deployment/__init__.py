"""The implementation of the commands: one module per capability of a deployment."""
