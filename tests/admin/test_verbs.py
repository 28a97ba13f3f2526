"""The verbs of operators, by their definitions."""

from __future__ import annotations

import pytest

from dewy.admin.verbs import VERBS, Operation, Steering, Verb
from dewy.cli import verbs as commands
from dewy.cli.group import COMMANDS


@pytest.mark.parametrize("half", ["online", "offline"])
def test_operation_without_a_half_cannot_be_made(half: str) -> None:
    """A verb works where a dewy runs and where none does, or says why not."""
    whole = type(VERBS["hold"])
    assert issubclass(whole, Operation)
    lame = type("Lame", (Operation,), {**vars(whole), half: vars(Operation)[half]})

    with pytest.raises(TypeError, match=half):
        lame()


def test_steering_without_its_handler_cannot_be_made() -> None:
    """The same of verbs for a dewy that runs."""
    with pytest.raises(TypeError, match="steer"):
        type("Lame", (Steering,), {"name": "lame"})()


@pytest.mark.parametrize("verb", VERBS.values(), ids=lambda verb: verb.name)
def test_verb_has_its_command(verb: Verb) -> None:
    """Under its name and with its help, and with VERSION where it takes one."""
    command = getattr(commands, verb.name)

    assert verb.name in COMMANDS
    assert (verb.name, verb.help) == (command.name, command.short_help)
    version = [each.required for each in command.params if each.name == "version"]
    expected = {"": [], "optional": [False], "required": [True]}
    assert expected[verb.version] == version
