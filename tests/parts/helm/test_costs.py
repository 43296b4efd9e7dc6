"""What a tier reserves on a cluster, as docs/kubernetes.md says."""

from pantheon.engines.helm import needs
from tests.support import ROOT, helm
from tests.support.helm import TIERS


def row(number: int) -> str:
    """A tier's line of the table: its services together, without tasks and one-offs, and its volumes."""
    found = needs.of(helm.render(number))
    services, size = found.services, sum(claim.size for claim in found.claims) / needs.GiB
    memory = f"{services.memory / needs.GiB:.1f} GiB | {services.limit / needs.GiB:.1f} GiB"
    return f"| {TIERS[number - 1].name} | {found.pods} | {services.cpu:.2f} | {memory} | {size:.0f} GiB |"


def test_the_documentation_says_what_each_tier_reserves() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text()
    rows = [row(tier.number) for tier in TIERS]
    assert [each for each in rows if each not in text] == [], "\n".join(rows)
