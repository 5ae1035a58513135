"""Text from elsewhere, made harmless for Markdown, HTML and terminals."""

import html
import re

# A colon is markup before an address and around an emoji's name, a parenthesis behind a bracket; an at sign calls
# someone.
_MARKUP = re.compile(r"([\\`*_{}\[\]#|~@]|(?<=\])\(|:(?=//|[\w+-]+:))")
# Control characters, and those that turn the direction of what follows.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def escape(text: object) -> str:
    r"""Text that Markdown and HTML show as it is, on one line.

    >>> escape("<b> a|b\u202e")
    '&lt;b&gt; a\\|b'
    """
    escaped = _MARKUP.sub(r"\\\1", " ".join(plain(str(text)).split()))
    return html.escape(escaped, quote=False)


def plain(text: str) -> str:
    """Text without control and direction characters, which could rewrite a terminal or a table."""
    return _CONTROL.sub(" ", text)
