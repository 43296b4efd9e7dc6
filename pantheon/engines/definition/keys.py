"""What every engine does with every key of a Compose service: supports, ignores or rejects it.

The Compose engine passes the files to Compose, so it supports all keys; ``CONTAINERS`` has the notes.

``python -m pantheon.engines.definition.keys`` prints the table of docs/compose-keys.md; a test compares them.
"""

SUPPORTED = {
    "command": "a string is split like in a shell, but runs without a shell",
    "depends_on": "all three conditions and `required: false`; `restart: true` is rejected",
    "deploy": "only `update_config: {order: start-first}`, for one of our HTTP services with one port and "
    "a `health_url`: the replacement of a changed service starts beside it and takes over once it is healthy, and the "
    "supervisor keeps the port open, so no request is lost; for limits, use `mem_limit` and `restart` of the service",
    "entrypoint": "precedes `command`",
    "env_file": "read by Compose itself",
    "environment": "of your shell, only PATH, HOME, LANG, TZ, proxies and certificate files are added",
    "expose": "the port is checked before the start, like those of `ports`",
    "extends": "resolved by Compose itself",
    "healthcheck": "CMD, CMD-SHELL, NONE; until the first success, probed at least every `start_interval`, and more "
    "often if that is cheap (a `health_url` every 0.05 s), while failures count once per `interval`; a service that "
    "was healthy and fails twice its `retries` is restarted, unless `restart` is `no`",
    "image": "`pantheon/NAME` is the environment of `requirements/NAME.txt`; other images need `x-local`",
    "network_mode": "only `none`, which containers have; a process has the network of this machine",
    "ports": "TCP on 127.0.0.1, with the same number inside and outside; `app_protocol` becomes the address's scheme",
    "profiles": "a service with profiles is not started by `up`; only tasks use it",
    "restart": "`no`, `always`, `unless-stopped`, `on-failure[:N]`, with back-off",
    "secrets": "from files of mode 0600 in the deployment's `secrets` folder, "
    "at `${SECRETS_DIR:-/run/secrets}/NAME` or without a `target`",
    "stop_grace_period": "then SIGKILL",
    "stop_signal": "to the main process",
    "volumes": "source and target must be the same: interpolate both; a named volume `x` is mounted at `${X_DIR:-…}`",
    "working_dir": "must be a folder of this machine: interpolate it; the deployment's state folder if not given",
}

IGNORED = {
    "annotations": "",
    "attach": "",
    "blkio_config": "",
    "build": "the environment replaces the image",
    "cap_drop": "a process has the rights of the user who starts it",
    "cgroup": "",
    "cgroup_parent": "",
    "container_name": "",
    "cpu_count": "",
    "cpu_percent": "",
    "cpu_period": "",
    "cpu_quota": "",
    "cpu_rt_period": "",
    "cpu_rt_runtime": "",
    "cpu_shares": "",
    "cpus": "",
    "cpuset": "",
    "develop": "",
    "domainname": "",
    "group_add": "",
    "hostname": "",
    "init": "the supervisor reaps orphans",
    "isolation": "",
    "label_file": "",
    "labels": "",
    "logging": "logs are written to `logs/SERVICE.log`: at most 8 MB, and one older file of the same size",
    "mac_address": "",
    "mem_limit": "`status` shows the memory; it is not limited",
    "mem_reservation": "",
    "mem_swappiness": "",
    "memswap_limit": "",
    "networks": "all services use 127.0.0.1",
    "oom_kill_disable": "",
    "oom_score_adj": "",
    "pids_limit": "",
    "platform": "",
    "pull_policy": "",
    "pull_refresh_after": "",
    "read_only": "",
    "runtime": "",
    "security_opt": "",
    "shm_size": "",
    "stdin_open": "",
    "storage_opt": "",
    "tmpfs": "the machine's own folders are used",
    "tty": "",
    "ulimits": "",
    "user": "the user who starts it; `x-local: {user: unprivileged}` for programs that do not run as root",
    "userns_mode": "",
    "uts": "",
}

REJECTED = {
    "cap_add": "a process cannot get more rights than the user who starts it",
    "configs": "use a bind mount with the same folder on both sides",
    "credential_spec": "",
    "device_cgroup_rules": "",
    "devices": "",
    "dns": "",
    "dns_opt": "",
    "dns_search": "",
    "external_links": "",
    "extra_hosts": "",
    "gpus": "",
    "ipc": "",
    "links": "use `depends_on` and `${X_HOST:-x}`",
    "models": "",
    "pid": "",
    "post_start": "use a one-off service and `service_completed_successfully`",
    "pre_stop": "",
    "privileged": "",
    "provider": "",
    "scale": "one process per service",
    "sysctls": "",
    "use_api_socket": "",
    "volumes_from": "",
}

CONTAINERS = {
    "deploy": "with `update_config: {order: start-first}`, a container `NAME-port` keeps the only published port of "
    "the service open and hands it to the service, so no request is lost while Compose replaces its container",
    "build": "used by plain `docker compose`; `up` and `make images` build the same image, with certificates and "
    "package index as secrets",
    "healthcheck": "without `start_interval` before Docker Engine 25; Docker does not restart a hanging service: start "
    "`test` with `compose/health.sh N`, which ends the service after N failures in a row",
    "networks": "other services reach one with `start-first` by an alias that it has in a network, not by its name: "
    "the alias is that of the container `NAME-port`",
    "ports": "if a port is in use, `up` names the process before the start",
    "profiles": "as on the local engine",
    "restart": "use `always`: Docker may take a service with another policy for stopped by hand if its daemon crashes",
    "user": "`${PUID}:${PGID}`: the owner of the state folder, or 10001 if that is root",
}

LOCAL = {
    "command": "replaces `entrypoint` and `command`",
    "entrypoint": "precedes `command`, as a list, and replaces the image's entrypoint",
    "environment": "variables in addition to the service's own",
    "environment_name": "the environment of `requirements/*.txt` to run in, instead of the image's",
    "health_url": "probe this `http://` address without starting a process, instead of `healthcheck.test`",
    "user": "`unprivileged`: runs in a user namespace if root starts it (PostgreSQL does not run as root)",
    "volumes": "`ignore`: the service runs without its volumes",
}

ONE_OFF = "x-one-off"
OURS = {
    "x-component": "the service's component, such as `airflow`, which `WITHOUT=airflow` leaves out; by default that of "
    "the file that defines the service (docs/components.md). Remaining services may only depend on left-out ones with "
    "`required: false`",
    "x-local": "differences when run as a process; see the keys below",
    ONE_OFF: "`true`: `up` waits until the service has completed, even if no other service does",
}


def table() -> str:
    """Return the table of docs/compose-keys.md as Markdown."""
    kinds = (("supported", SUPPORTED), ("ignored", IGNORED), ("rejected", REJECTED))
    rows = sorted((key, kind, note) for kind, notes in kinds for key, note in notes.items())
    lines = [
        "| key of a service | local engine | compose engine | local notes | container notes |",
        "|---|---|---|---|---|",
        *(f"| `{key}` | {kind} | supported | {note} | {CONTAINERS.get(key, '')} |" for key, kind, note in rows),
    ]
    lines += [
        "",
        "| Pantheon's keys | both engines |",
        "|---|---|",
        *(f"| `{key}` | {note} |" for key, note in OURS.items()),
    ]
    lines += [
        "",
        "| key of `x-local` (ignored in containers) | |",
        "|---|---|",
        *(f"| `{key}` | {note} |" for key, note in LOCAL.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
