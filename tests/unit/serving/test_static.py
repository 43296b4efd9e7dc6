"""Vendored scripts match their packages, and the page does not reference other hosts."""

import hashlib
import re
from pathlib import Path

import serving

HERE = Path(serving.__file__).parent / "page"
VENDOR = HERE / "static" / "vendor"


def test_vendored_scripts_have_the_recorded_checksums_and_licences() -> None:
    recorded = dict(re.findall(r"`vendor/(\S+)` \|.*`([0-9a-f]{64})`", (HERE / "static" / "VENDOR.md").read_text()))
    files = {f.name for f in VENDOR.iterdir() if f.suffix in (".js", ".css")}
    assert files == set(recorded) != set()
    for name, checksum in recorded.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == checksum, name
        assert "Permission" in (VENDOR / f"{name}.LICENSE").read_text(), name


def test_the_page_references_no_other_host() -> None:
    own = [*HERE.glob("templates/*.html"), *HERE.glob("static/*.css"), *HERE.glob("static/*.js")]
    assert len(own) > 8
    for file in own:
        assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", file.read_text()) == [], file.name


def test_templates_contain_no_inline_script_or_style() -> None:
    for file in HERE.glob("templates/*.html"):
        text = file.read_text()
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text), file.name
