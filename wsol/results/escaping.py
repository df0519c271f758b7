"""Names that come from data and people, made harmless in every format that a table has."""

import html
import unicodedata

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # At the beginning of a row these would be read as arguments of the line break before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "×": r"$\times$",
    "–": "--",
    "−": "$-$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_MARKDOWN = "\\`*_{}[]<>|#~&$"


def printable(text: str) -> str:
    """Text on one line, with a mark in place of every control and formatting character.

    Escape sequences of terminals and characters that reverse the direction of writing are such.
    """
    text = " ".join(text.split())
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(c) else c for c in text)


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, also within a table."""
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in printable(text))


def latex(text: str) -> str:
    """Text that LaTeX shows as it is; a mark stands for what is no letter to it."""
    shown = printable(text).replace("\N{REPLACEMENT CHARACTER}", "?")
    return "".join(_LATEX.get(c, c) for c in shown)


def html_text(text: str) -> str:
    """Text for the content of an HTML element or for a quoted attribute."""
    return html.escape(printable(text))


def csv_text(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def _is_control(character: str) -> bool:
    return unicodedata.category(character).startswith("C")
