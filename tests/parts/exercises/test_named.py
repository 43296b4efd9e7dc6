"""The commands, services and expressions that exercises name exist."""

import re
import shlex

import jmespath
import pytest

from pantheon import components
from pantheon.exercises import data
from pantheon.exercises.data import Exercise
from pantheon.tiers import all_tiers, find
from tests.support.said import check as check_command
from tests.support.said import is_ours, parse

ALL = [exercise for tier in all_tiers() if tier.built for exercise in data.of(tier)]


@pytest.mark.parametrize("exercise", ALL, ids=[f"{each.tier}-{each.number}" for each in ALL])
def test_commands_expressions_and_placeholders_of_an_exercise_are_valid(exercise: Exercise) -> None:
    for check in exercise.checks:
        parse([*shlex.split(check.read), "--json"])
        jmespath.compile(check.value)
    texts = [exercise.task, *exercise.hints, *exercise.solution]
    services = {
        service for part in components.read(find(exercise.tier).compose_file) for service in (part.name, *part.services)
    }
    for text in texts:
        assert set(re.findall(r"\{address:([a-z-]+)\}", text)) <= services
        assert not re.search(r"\{(state|name|address:[a-z-]+)\}", re.sub(r"\{(state|name|address:[a-z-]+)\}", "", text))
    quoted = {line for text in texts for line in re.findall(r"`([^`\n]+)`", text)}
    commands = [line for line in quoted if is_ours(line)]
    commands += [line.partition(" || ")[0] for line in exercise.solution if is_ours(line)]
    for line in commands:
        check_command(line.partition(" >")[0])
        assert not line.startswith("make tier-") or line.startswith(f"make tier-{exercise.tier} "), line
