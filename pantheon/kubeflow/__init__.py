"""Kubeflow's definitions, run without a cluster: objects, their controllers, and the service ``kubeflow``."""
