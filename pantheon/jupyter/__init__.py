"""The JupyterLab service: its start, its configuration, and how it runs notebooks as jobs. In Jupyter's environment."""
