"""The command `offbeat`: one file for each family of commands; each imports what it needs when it runs."""

from offbeat.cli.command import main as main
