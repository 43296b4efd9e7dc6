"""Networks without a way out, whose published ports work: their containers' default gateway does not exist.

Docker publishes no ports of an ``internal`` network. Containers of another network reach other machines through its
gateway, which is this machine. In a network with the option ``enable_ip_masquerade: "false"``, containers get an unused
address of the network as their gateway, so nothing that they send leaves it; and no name server outside is asked.
Published ports work, because Docker's proxy connects from an address of the network.
"""

import ipaddress
import secrets
from pathlib import Path
from typing import Any

from pantheon import files
from pantheon.engines.compose.client import Api
from pantheon.engines.definition.model import Model
from pantheon.engines.record import read_derived
from pantheon.errors import PantheonError

OPTION = "com.docker.network.bridge.enable_ip_masquerade"
GATEWAY = "DefaultGatewayIPv4"  # Docker's name of the gateway that containers get, if it is not the bridge's address
TRIES = 10
NO_NAMES = ["127.0.0.1"]  # the container itself, where no name server is; services' names are known to Docker


def closed(model: Model) -> dict[str, str]:
    """Return the networks without a way out: key in the definition → name in Docker."""
    found = {key: network or {} for key, network in (model.raw.get("networks") or {}).items()}
    return {
        key: str(network.get("name") or key)
        for key, network in found.items()
        if (network.get("driver_opts") or {}).get(OPTION) == "false" and not network.get("internal")
    }


def changes(api: Api, model: Model, project: str, kept: Path, start: bool) -> dict[str, Any]:
    """Return the changes to the definition that close its networks: ``{"networks": …, "services": …}``.

    Args:
        project: the name of the Compose project.
        kept: the file with the subnets, which must not change while containers run.
        start: make the networks that do not exist: a subnet that was chosen earlier may be in use by another one.
    """
    networks = closed(model)
    before = read_derived(kept, dict.fromkeys(networks, "")) or {}
    subnets = {}
    for key, name in networks.items():
        subnet = subnet_of(api, name)
        if not subnet and start:
            subnet = make(api, name, project, key, model.raw["networks"][key]["driver_opts"])
        subnets[key] = subnet or (before[key] if is_subnet(before.get(key, "")) else unused(api))
    if networks and subnets != before:
        files.write_json(kept, subnets)
    shut = {key: {"ipam": {"config": [range_of(subnet)]}} for key, subnet in subnets.items()}
    services = {
        name: {"dns": NO_NAMES}
        for name, service in model.services.items()
        if networks.keys() & (service.get("networks") or {}).keys()
    }
    return {"networks": shut, "services": services} if shut else {}


def is_subnet(text: str) -> bool:
    try:
        return ipaddress.IPv4Network(text).num_addresses > 8
    except ValueError:
        return False


def range_of(subnet: str) -> dict[str, Any]:
    """Return Compose's entry for a subnet: its last address is the gateway of containers."""
    network = ipaddress.IPv4Network(subnet)
    return {"subnet": subnet, "aux_addresses": {GATEWAY: str(network.broadcast_address - 1)}}


def subnet_of(api: Api, name: str) -> str:
    """Return the IPv4 subnet of an existing network; empty if it does not exist."""
    network = api.ask(f"/networks/{name}") or {}
    entries = (network.get("IPAM") or {}).get("Config") or []
    return next((str(entry["Subnet"]) for entry in entries if ":" not in str(entry.get("Subnet") or ":")), "")


def make(api: Api, name: str, project: str, key: str, options: dict[str, str]) -> str:
    """Make a network, as Compose would, and return its subnet; another deployment may take the same one meanwhile."""
    labels = {"com.docker.compose.project": project, "com.docker.compose.network": key}
    for left in reversed(range(TRIES)):
        subnet = unused(api)
        entry = {"Subnet": subnet, "AuxiliaryAddresses": range_of(subnet)["aux_addresses"]}
        body = {"Name": name, "Driver": "bridge", "Options": options, "Labels": labels, "IPAM": {"Config": [entry]}}
        try:
            api.ask("/networks/create", "POST", body=body)
            break
        except PantheonError as error:
            if "overlap" not in error.cause or not left:
                raise
    return subnet


def unused(api: Api) -> str:
    """Return a subnet that Docker chooses: it knows those in use by networks and by this machine."""
    name = f"pantheon-probe-{secrets.token_hex(4)}"
    made = api.ask("/networks/create", "POST", body={"Name": name, "Driver": "bridge"})
    try:
        return subnet_of(api, name)
    finally:
        api.ask(f"/networks/{made['Id']}", "DELETE")
