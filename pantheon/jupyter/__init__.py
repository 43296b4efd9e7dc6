"""The JupyterLab service: starting it, configuring it, and running notebooks as jobs. Runs in Jupyter's environment."""
