"""Kubeflow Pipelines without a cluster: compiled pipelines, executed with the parts of ``kfp.local``."""
