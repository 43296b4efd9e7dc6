"""What each engine does with each key of a Compose service: honours it, ignores it, or refuses it.

The Compose engine hands the files to Compose, so a key is honoured there; ``CONTAINERS`` has the remarks.

``python -m pantheon.engines.keys`` prints the table of docs/compose-keys.md; a test holds the two together.
"""

HONOURED = {
    "command": "a string is split as a shell would; no shell runs it",
    "depends_on": "all three conditions; `required: false` too; `restart: true` is refused",
    "entrypoint": "stands before `command`",
    "env_file": "read by Compose itself",
    "environment": "and nothing else of your shell but PATH, HOME, LANG, TZ, proxies and certificate files",
    "expose": "the port is checked before the start, as those of `ports` are",
    "extends": "resolved by Compose itself",
    "healthcheck": "CMD, CMD-SHELL, NONE; before the first success probed at least every `start_interval`, as often as "
    "costs little (a `health_url` every 0.05 s), while a failure counts once an `interval`",
    "image": "`pantheon/NAME` is the environment made from `requirements/NAME.txt`; another image needs `x-local`",
    "ports": "TCP on 127.0.0.1, the same number inside and outside; `app_protocol` becomes the address's scheme",
    "profiles": "a service with profiles is not started by `up`, only used by tasks",
    "restart": "`no`, `always`, `unless-stopped`, `on-failure[:N]`, with back-off",
    "secrets": "from files of mode 0600 in the deployment's `secrets` folder, "
    "at `${SECRETS_DIR:-/run/secrets}/NAME` or without a `target`",
    "stop_grace_period": "then SIGKILL",
    "stop_signal": "to the main process",
    "volumes": "source and target must be the same here: interpolate both; a named volume `x` stands at `${X_DIR:-…}`",
    "working_dir": "must be a folder of this machine: interpolate it; the deployment's state folder if not given",
}

IGNORED = {
    "annotations": "",
    "attach": "",
    "blkio_config": "",
    "build": "the environment stands for the image",
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
    "logging": "logs go to `logs/SERVICE.log`, 8 MB and one older file of the same size at most",
    "mac_address": "",
    "mem_limit": "memory is shown by `status`, not limited",
    "mem_reservation": "",
    "mem_swappiness": "",
    "memswap_limit": "",
    "networks": "all services meet on 127.0.0.1",
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
    "user": "the one who starts it; `x-local: {user: unprivileged}` for programs that refuse root",
    "userns_mode": "",
    "uts": "",
}

REFUSED = {
    "cap_add": "a process cannot be given more rights than its starter has",
    "configs": "use a bind of a folder that is the same on both sides",
    "credential_spec": "",
    "deploy": "write `mem_limit` and `restart` at the service",
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
    "network_mode": "",
    "pid": "",
    "post_start": "use a one-off service and `service_completed_successfully`",
    "pre_stop": "",
    "privileged": "",
    "provider": "",
    "scale": "one process a service",
    "sysctls": "",
    "use_api_socket": "",
    "volumes_from": "",
}

CONTAINERS = {
    "build": "by plain `docker compose`; `up` and `make images` build the same, with certificates and index as secrets",
    "healthcheck": "without `start_interval` on a Docker engine older than 25",
    "ports": "a port that is taken is named with its holder before the start",
    "profiles": "as on the local engine",
    "user": "`${PUID}:${PGID}`: the owner of the state folder, 10001 where that is root",
}

LOCAL = {
    "command": "what to run here instead of `entrypoint` and `command`",
    "entrypoint": "what stands before `command` here, as a list, in place of the image's own entrypoint",
    "environment": "variables on top of the service's own",
    "environment_name": "which of `requirements/*.txt` to run in, instead of the image's",
    "health_url": "probe this `http://` address without starting a process, instead of `healthcheck.test`",
    "user": "`unprivileged`: in a user namespace of its own when root starts it (PostgreSQL refuses root)",
    "volumes": "`ignore`: the service does without its volumes here",
}

ONE_OFF = "x-one-off"
OURS = {
    "x-component": "the component that the service belongs to, such as `airflow`; `WITHOUT=airflow` leaves it out. "
    "A service that stays may depend on one with `required: false` alone",
    "x-local": "what differs as a process; the keys below",
    ONE_OFF: "`true`: `up` waits until the service has completed, although no other service does",
}


def table() -> str:
    """The table of docs/compose-keys.md, Markdown."""
    kinds = (("honoured", HONOURED), ("ignored", IGNORED), ("refused", REFUSED))
    rows = sorted((key, kind, note) for kind, notes in kinds for key, note in notes.items())
    lines = [
        "| key of a service | local engine | compose engine | locally | in containers |",
        "|---|---|---|---|---|",
        *(f"| `{key}` | {kind} | honoured | {note} | {CONTAINERS.get(key, '')} |" for key, kind, note in rows),
    ]
    lines += [
        "",
        "| key of ours | both engines |",
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
