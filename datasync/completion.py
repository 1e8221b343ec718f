"""The command `completion`: a script that completes commands and options in a shell, made of the parser."""

import argparse
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction


@dataclass(frozen=True)
class Word:
    """Something that can be typed: an option or a command, and what it does."""

    name: str
    meaning: str


@dataclass(frozen=True)
class Command:
    """A command with the words that may follow it."""

    word: Word
    words: tuple[Word, ...]


def add_to(commands: "_SubParsersAction[argparse.ArgumentParser]", root: argparse.ArgumentParser) -> None:
    """Add the command, which completes what `root` parses."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print a script that completes commands and options.",
        epilog='bash: eval "$(datasync completion bash)" in ~/.bashrc. '
        "zsh: the same with zsh in ~/.zshrc, after compinit. "
        "fish: datasync completion fish > ~/.config/fish/completions/datasync.fish",
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=sorted(_SCRIPTS))
    parser.set_defaults(run=lambda arguments: _print(_SCRIPTS[arguments.shell](_commands(root))))


def _print(script: str) -> int:
    print(script)
    return 0


def _commands(root: argparse.ArgumentParser) -> list[Command]:
    return [Command(Word(name, meaning), tuple(_words(parser))) for name, meaning, parser in _children(root)]


def _words(parser: argparse.ArgumentParser) -> list[Word]:
    """The options of a parser and of the commands below it, those commands, and what may be chosen."""
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list what it parses
        names = [name for name in action.option_strings if name.startswith("--")]
        found += [Word(name, _meaning(action.help)) for name in names]
        if action.choices and not isinstance(action.choices, dict):
            found += [Word(str(choice), "") for choice in action.choices]
    for name, meaning, child in _children(parser):
        found += [Word(name, meaning), *(word for word in _words(child) if word.name != "--help")]
    return found


def _children(parser: argparse.ArgumentParser) -> list[tuple[str, str, argparse.ArgumentParser]]:
    found = []
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            meanings = {one.dest: _meaning(one.help) for one in action._get_subactions()}  # noqa: SLF001 - as above
            found += [(name, meanings.get(name, ""), child) for name, child in action.choices.items()]
    return found


def _meaning(text: str | None) -> str:
    """A help text without what it says in brackets."""
    return (text or "").split(" (")[0]


def _bash(commands: list[Command]) -> str:
    cases = "\n".join(
        f"    {one.word.name}) words='{' '.join(word.name for word in one.words)}' ;;" for one in commands
    )
    names = " ".join(one.word.name for one in commands)
    return f"""\
_datasync() {{
  local words='{names} --help --version'
  if [ "$COMP_CWORD" -gt 1 ]; then case ${{COMP_WORDS[1]}} in
{cases}
    *) words= ;;
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _datasync datasync"""


def _zsh(commands: list[Command]) -> str:
    def described(words: list[Word] | tuple[Word, ...]) -> str:
        return " ".join(shlex.quote(f"{word.name}:{word.meaning}") for word in words)

    cases = "\n".join(f"    {one.word.name}) words_=({described(one.words)}) ;;" for one in commands)
    return f"""\
#compdef datasync
_datasync() {{
  local -a words_=({described([one.word for one in commands])})
  if (( CURRENT > 2 )); then case $words[2] in
{cases}
    *) words_=() ;;
  esac; fi
  _describe datasync words_ || _files
}}
compdef _datasync datasync"""


def _fish(commands: list[Command]) -> str:
    def described(word: Word) -> str:
        return "-d '" + word.meaning.replace("'", "\\'") + "'"

    lines = [
        f"complete -c datasync -n __fish_use_subcommand -f -a {one.word.name} {described(one.word)}"
        for one in commands
    ]
    for one in commands:
        inside = f"complete -c datasync -n '__fish_seen_subcommand_from {one.word.name}'"
        for word in one.words:
            name = f"-l {word.name[2:]}" if word.name.startswith("--") else f"-a {word.name}"
            lines.append(f"{inside} {name} {described(word)}")
    return "\n".join(lines)


_SCRIPTS: dict[str, Callable[[list[Command]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
