"""What the pages of documentation name: commands, and files of the project."""

import re
import shlex

from conftest import PROJECT

PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")), PROJECT / "config/README.md"]
PAGES.append(PROJECT / "CONTRIBUTING.md")
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PROGRAMS = ("make", "snakemake", "python", "pytest")
BEFORE = re.compile(r"[A-Z_]+=\S*|srun|--[a-z-]+=\S+")  # variables, or in a job of Slurm


def commands(text):
    """The commands of a page as words, without what stands before them; in code blocks and in the text."""
    lines = [line for language, block in FENCED.findall(text) if not language for line in block.splitlines()]
    for line in [*lines, *inline(text)]:
        for part in re.sub(r"(^|\s)#.*", "", line).split(" && "):
            words = shlex.split(part) if part.count("'") % 2 == 0 else []
            while words and BEFORE.fullmatch(words[0]):
                words.pop(0)
            if words and words[0] in PROGRAMS:
                yield [word.replace("/path/to/mtpd", str(PROJECT)) for word in words if word != "..."]


def inline(text):
    """What stands between backticks in the text; a line break counts as a space."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCED.sub("", text))]


def files(text):
    """Paths and names of files in the text, without those of results and of examples."""
    return [span for span in inline(text) if re.fullmatch(r"[\w./{}*-]+", span) and _is_file(span)]


def _is_file(span):
    return "/" in span.strip("/") or span.endswith((".py", ".smk", ".yaml"))


def links(text):
    """Paths that a page links to, also of pictures; without addresses of the web."""
    found = re.findall(r"\]\(([^)#\s]+)", FENCED.sub("", text))
    return [path for path in found if "://" not in path]
