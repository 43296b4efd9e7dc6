"""Render the commands in messages with all their arguments, so that a pasted command acts on the right deployment.

Code of this layer and of the command line calls ``command``. The layers below (engines, store, workflow …) do not
know the deployment's name: they write a command in backquotes, such as ```logs --service button```, and the command
line completes it when it prints the message (``complete``).
"""

import re
import shlex

GOALS = {  # verbs that are make goals; a test compares them with the Makefile
    *("up", "run", "predict", "ask", "monitor", "status", "logs", "down", "destroy", "doctor", "test", "runs"),
    *("approve", "hold", "exercise"),
    *("models", "rollback", "backup", "restore", "images", "images-save", "images-load", "bundle", "prepare"),
}
SETTINGS = {  # options that are make settings (upper case there); a test compares them with the Makefile
    *("name", "engine", "data", "target", "variant", "without", "schedule", "port_offset", "run", "approval", "row"),
    *("service", "follow", "confirm", "json", "trials", "seed", "note", "file", "ca", "s3_endpoint_url", "s3_bucket"),
    *("at", "version", "alias", "model", "folds", "metric", "ignore", "header", "infer", "dataset"),
    *(
        "request",
        "entity",
        "log",
        "predictions_keep",
        "monitor",
        "monitor_report",
        "materialize",
        "retrain",
        "registry",
        "registry_in_cluster",
        "alert_webhook",
        "kubecontext",
        "values",
        "since",
        "until",
        "window",
        "tiers",
        "engines",
        "against",
        "kills",
        "fresh",
        "needs",
        "page",
        "python",
        *("base", "secrets", "passphrase_file", "start"),
        *("n", "hint", "solution", "people", "tier", "person", "memory", "cpus"),
    ),
}
GROUPS = {  # commands with a second verb
    "models": {"list", "show", "promote", "rollback", "verify", "gc", "publish", "checkout"},
    "keys": {"add", "list", "revoke"},
    "users": {"add", "list", "remove", "password"},
    "profiles": {"add", "list", "remove", "grant", "revoke"},
    "feedback": {"import"},
    "features": {"list", "show", "get", "at", "backfill", "materialize", "forget"},
    "route": {"show", "weights", "pin", "header", "sticky", "shadow", "bandit", "test", "clear"},
}
BARE = (GOALS | {"stage"}) - {"models", "rollback", "images-save", "images-load"}  # recognized without `bin/pantheon`
CALLED = {
    "apply",
    "get",
    "describe",
    "delete",
    "dvc",
    "feast",
    "tier",
    "models",
    "images-save",
    "predictions",
    "forget",
    "predict-file",
}  # only with it
PASSED_ON = {"dvc", "feast"}  # what follows is for another program
DEFAULT = "pantheon"  # the default name of a deployment

Value = str | int | bool


def command(name: str, tier: str, verb: str, *arguments: str, **options: Value) -> str:
    """Return a command line that acts on the deployment ``name``.

    Args:
        tier: the deployment's tier; empty if it has none, or the verb does not take one.
        verb: such as ``up``, ``models gc`` or ``dvc``.
        arguments: positional arguments after the verb.
        options: options by name (``port_offset=100``, ``follow=True``); empty and False ones are omitted.

    Returns:
        ``make tier-zeus logs NAME=d1 SERVICE=button`` if make accepts every option, else ``bin/pantheon …``.
    """
    given = {key: value for key, value in options.items() if value not in ("", False, None)}
    if name != DEFAULT:
        given["name"] = name
    if verb in GOALS and not arguments and given.keys() <= SETTINGS:
        goal = ["make", *([f"tier-{tier}"] if tier else []), verb]
        return " ".join([*goal, *(_setting(key, value) for key, value in given.items())])
    flags: list[str] = []
    for key, value in given.items():
        option = "--" + key.replace("_", "-")
        flags += [option] if value is True else [option, str(value)]
    line = ["bin/pantheon", *verb.split()]
    return shlex.join([*line, *flags, *arguments] if verb in PASSED_ON else [*line, *arguments, *flags])


def _setting(key: str, value: Value) -> str:
    return shlex.quote(f"{key.upper()}={'1' if value is True else value}")


def complete(text: str, name: str, tier: str) -> str:
    """Return ``text`` with every command in backquotes completed for the deployment ``name`` at ``tier``.

    Recognizes verbs (```up```, ```logs --service button```) and full commands (```bin/pantheon models gc```,
    ```make tier-odysseus up```), also after a variable (```WORKFLOW_MEMORY=8g up```); other text in backquotes does not
    change.
    """
    return re.sub(r"`([^`\n]+)`", lambda match: f"`{_completed(match[1], name, tier)}`", text)


def _completed(line: str, name: str, tier: str) -> str:
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    if words[1:] and re.fullmatch("[A-Z_]+=.+", words[0]):  # a variable of the environment, for this command only
        return f"{shlex.quote(words[0])} {_completed(shlex.join(words[1:]), name, tier)}"
    if words[:1] == ["make"]:
        own = name == DEFAULT or any(word.startswith("NAME=") for word in words)
        speaks = len(words) > 2 and words[1].startswith("tier-")
        return f"{line} NAME={name}" if speaks and not own else line
    called = words[:1] == ["bin/pantheon"]
    words = words[1:] if called else words
    if len(words) > 1 and words[1] in GROUPS.get(words[0], set()):
        verb, rest = f"{words[0]} {words[1]}", words[2:]
    elif words and (words[0] in BARE or (called and words[0] in CALLED)):
        verb, rest = words[0], words[1:]
    else:
        return line
    if verb in PASSED_ON:
        return command(name, tier, verb, *rest)
    options, positional = _options(rest)
    if "name" in options:
        return line
    if verb in GOALS and len(positional) == 1 and re.fullmatch("[a-z]+", positional[0]):  # the tier
        return command(name, positional[0], verb, **options)
    return command(name, tier, verb, *positional, **options)


def _options(words: list[str]) -> tuple[dict[str, Value], list[str]]:
    """Split a command line into its options (``--key value`` and ``--flag``) and its positional arguments."""
    options: dict[str, Value] = {}
    positional: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            positional.append(word)
            continue
        key, equals, value = word.removeprefix("--").partition("=")
        if equals:
            options[key.replace("-", "_")] = value
        elif left and not left[0].startswith("--"):
            options[key.replace("-", "_")] = left.pop(0)
        else:
            options[key.replace("-", "_")] = True
    return options, positional
