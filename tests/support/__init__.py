"""What the tests share: servers, deployments, clients and small data. Fixtures are in the conftest.py files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATASETS = ROOT / "datasets"
