"""The documents are true: every command in them is one that the program takes, every link leads somewhere."""

import re
import shlex
from pathlib import Path

import pyphen
import pytest

from ground_station import parser

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([
    ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("configs/**/*.md"), *ROOT.glob("models/**/*.md"),
])
COMMAND = re.compile(r"^\s*\$?\s*\./trailwatch (.+?)\s*(?:#.*)?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def commands():
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:sh|console)?\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
            text = block.replace("\\\n", " ")
            for line in COMMAND.findall(text):
                yield pytest.param(line, id=f"{document.name}: {line}")


@pytest.mark.parametrize("line", list(commands()))
def test_a_documented_command_is_one_that_the_program_takes(line):
    words = [word for word in shlex.split(line) if word not in ("&&", "|", ">")]
    try:
        parser().parse_args(words)
    except SystemExit as leaving:
        assert leaving.code == 0, f"./trailwatch {line}: the program does not take that"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(document):
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} points at {target}"


def test_each_user_has_a_guide():
    for user in ("operator", "pilot", "trainer", "administrator"):
        assert (ROOT / f"docs/{user}.md").exists()


def test_the_readme_shows_the_real_screen():
    assert "docs/images/map.png" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / "docs/images/map.png").stat().st_size > 50_000


def prose(markdown):
    """The sentences of a page: no code, no tables, no pictures, no link addresses, no headings."""
    text = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "#"))]
    return re.sub(r"[*`]", "", "\n".join(lines))


def flesch_reading_ease(text):
    """100 is very easy, 0 very hard. Flesch, "A new readability yardstick", Journal of Applied Psychology 32 (1948)."""
    hyphenate = pyphen.Pyphen(lang="en_US").inserted
    words = re.findall(r"[A-Za-z]+", text)
    sentences = [s for s in re.split(r"[.!?:]\s|\n\s*\n", text) if re.search("[A-Za-z]", s)]
    syllables = sum(hyphenate(word).count("-") + 1 for word in words)
    return 206.835 - 1.015 * len(words) / len(sentences) - 84.6 * syllables / len(words)


def test_easy_and_hard_sentences_get_a_high_and_a_low_reading_ease():
    assert flesch_reading_ease("The cat sat on the mat. The dog ran to the man.") > 100
    assert flesch_reading_ease("Administrative responsibilities necessitate comprehensive documentation.") < 0


def test_the_readme_can_be_read_in_a_few_minutes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    assert flesch_reading_ease(prose(text)) >= 50
    assert "| what was measured |" in text
    assert sum(line.startswith("| ") for line in text.splitlines()) <= 11, "one heading and at most ten results"


def test_the_index_names_every_page_of_the_documentation():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    assert {p.name for p in (ROOT / "docs").glob("*.md")} - {"README.md"} <= set(LINK.findall(index))
