"""JupyterHub: users, profiles, roles, and the login of the tier's other services."""
