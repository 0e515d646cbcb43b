"""What the chooser's script needs, as JSON (see script_data.py)."""

import json

import decisions

from choices.answers import FRAMEWORKS, QUESTIONS, answers

# From the chooser's page to the root of the site.
ROOT = "../../"


def data() -> str:
    """Return the questions, the frameworks, and the answers with the addresses of their links."""
    found = [
        answer._asdict() | {"links": {text: _url(page) for text, page in answer.links.items()}}
        for answer in answers(decisions.draws())
    ]
    shown = {"questions": QUESTIONS, "frameworks": FRAMEWORKS, "answers": found}
    return json.dumps(shown, ensure_ascii=False)


def _url(page: str) -> str:
    path, _, anchor = page.partition("#")
    folder = path.rpartition(".")[0].removesuffix("index")
    return f"{ROOT}{folder.rstrip('/')}/{anchor and f'#{anchor}'}"
