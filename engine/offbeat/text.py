"""Text from trials and plugins, made safe to show to people."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text in one line without control characters, which could move the cursor or recolour the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "\ufffd" for letter in text)


def shown(value: object) -> str:
    """A value as people read it: four significant digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def counted(number: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
