"""Specs are written and read as TOML without loss; errors name the line and the field."""

import subprocess
import sys


def test_reading_a_spec_needs_only_the_standard_library() -> None:
    heavy = "[name for name in ('polars', 'numpy', 'tomlkit') if name in sys.modules]"
    code = f"import sys, pantheon.workflow.data.spec_file; print({heavy})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
