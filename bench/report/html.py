"""Templates to HTML. Text is escaped; what a template yields is markup."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.report.figures.shapes import SHAPES
from bench.report.promises import HELD, NOT_HELD

_TONES = {HELD: "good", NOT_HELD: "bad", "pass": "good", "reference": "good", "fail": "bad"}


def render(template: str, **context: object) -> Markup:
    """A template of ``bench/report/templates``, filled in."""
    return Markup(_environment().get_template(template).render(context))  # noqa: S704 - escaped by the template


def asset(name: str) -> Markup:
    """A style sheet or script of ``bench/report/templates``, as it is."""
    text = (files("bench.report") / "templates" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - a file of this package


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["tones"] = _TONES
    environment.globals["shapes"] = SHAPES
    return environment
