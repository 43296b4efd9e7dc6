"""Questions about the deployment's models that the architecture can answer."""
