"""JupyterHub: users, profiles, roles, servers, and the login of the deployment's other services."""
