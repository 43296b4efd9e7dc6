"""Backups of deployments: one file, read and written while services run. docs/backup.md describes the format.

``read`` runs in tasks and writes folders as a tar; ``archive`` is the file; ``seal`` encrypts secrets in it.
"""
