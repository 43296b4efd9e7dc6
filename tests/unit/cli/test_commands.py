"""Commands in messages are completed so that they can be pasted."""

from pantheon.deployment.commands import complete


def test_a_command_after_a_variable_is_completed() -> None:
    text = "`WORKFLOW_MEMORY=8g run --resume latest` or `WORKFLOW_MEMORY=8g up`; `WORKFLOW_MEMORY=8g` is a setting"
    assert complete(text, "demo", "zeus") == (
        "`WORKFLOW_MEMORY=8g bin/pantheon run --resume latest --name demo` or "
        "`WORKFLOW_MEMORY=8g make tier-zeus up NAME=demo`; `WORKFLOW_MEMORY=8g` is a setting"
    )
