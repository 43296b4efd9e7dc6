"""A company's OIDC provider: the addresses that it announces, and how it wants to know its clients."""

from dataclasses import dataclass

from pantheon.errors import PantheonError
from pantheon.web.client import Client


@dataclass(frozen=True)
class Discovered:
    """What a provider announces (OpenID Connect Discovery 1.0).

    Attributes:
        basic: the client's secret is sent by HTTP Basic, which is the default, and not in the form.
    """

    authorization: str
    token: str
    userinfo: str
    basic: bool


def discovered(issuer: str, retry_seconds: float = 30.0) -> Discovered:
    """Ask a provider for its addresses.

    Raises:
        PantheonError: it does not answer, or is not one.
    """
    cure = "Check OIDC_ISSUER, and that this machine reaches it."
    answer = Client(issuer, "the OIDC provider", cure).ask(
        "GET", "/.well-known/openid-configuration", retry_seconds=retry_seconds
    )
    try:
        if not answer.ok:
            raise ValueError(f"it has no /.well-known/openid-configuration, status {answer.status}")
        found = answer.json()
        if str(found["issuer"]).rstrip("/") != issuer:
            raise ValueError(f"it calls itself {found['issuer']}")
        ways = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
        authorization, token, userinfo = (str(found[name]) for name in names)
        return Discovered(authorization, token, userinfo, "client_secret_basic" in ways)
    except KeyError as error:
        raise PantheonError(f"{issuer} is not an OIDC provider: it does not announce {error}.", cure) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise PantheonError(f"{issuer} is not an OIDC provider: {error}.", cure) from None
