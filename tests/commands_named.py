"""Commands in Markdown texts: fenced blocks, commands, scenario files, and the parameters of each command."""

import re
import shlex

import typer
from typer.core import TyperGroup

import scenarios.cli.main as cli
from instrument.remote.launch import parser as serve_parser

FENCED = re.compile(r"^[ ]*```([^\n`]*)\n(.*?)^[ ]*```$", re.M | re.S)
HERE = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END$", re.M | re.S)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [inside for named, inside in FENCED.findall(text) if named == language]


def spans(text: str) -> list[str]:
    """Code within the text, where a line may end inside it."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCED.sub("", text))]


def files(text: str) -> dict[str, str]:
    """Contents of the files that bash blocks write by here-documents, by their names."""
    return {name: content for block in blocks(text, "bash") for name, content in HERE.findall(block)}


def commands(text: str, program: str = "emtwin", mentions: bool = True) -> list[list[str]]:
    """The arguments of every call of a program in bash blocks, and of those in the text where ``mentions``."""
    scripts = [HERE.sub("", block) for block in blocks(text, "bash")]
    lines = [part.partition(" > ")[0].strip(" &") for script in scripts for part in re.split(r"\n|&&|\|", script)]
    lines += spans(text) if mentions else []
    words = [shlex.split(line, comments=True) for line in lines if program in line]
    starts = [
        (call, start)
        for call in words
        for start in range(len(call))
        if " ".join(call[start:]).removeprefix(".venv/bin/").startswith(f"{program} ")
    ]
    return [call[start + program.count(" ") + 1 :] for call, start in starts]


def parsed(arguments: list[str]) -> tuple[list[str], dict]:
    """The path of subcommands that ``arguments`` lead to, and their parameters; a usage error of Click where there are none such."""
    command, path = typer.main.get_command(cli.app), []
    while True:
        eager = not {"--help", "--version"}.isdisjoint(arguments)
        context = command.make_context(path[-1] if path else "emtwin", list(arguments), resilient_parsing=eager)
        if not isinstance(command, TyperGroup):
            return path, {**context.params, "args": context.args}
        remaining = [*context._protected_args, *context.args]
        if not remaining:
            return path, context.params
        name, command, arguments = command.resolve_command(context, remaining)
        path.append(name)


def leaves() -> set[tuple[str, ...]]:
    """The paths of all commands that do something."""
    paths, pending = set(), [((), typer.main.get_command(cli.app))]
    while pending:
        path, command = pending.pop()
        inner = getattr(command, "commands", {})
        pending += [((*path, name), subcommand) for name, subcommand in inner.items()]
        paths |= set() if inner else {path}
    return paths


def options() -> set[str]:
    """Every option of every command."""
    names, pending = set(), [typer.main.get_command(cli.app)]
    while pending:
        command = pending.pop()
        pending += getattr(command, "commands", {}).values()
        names |= {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    return names | {option for action in serve_parser()._actions for option in action.option_strings}
