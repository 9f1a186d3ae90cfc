"""Enter the repository's address wherever one belongs: badges, URLs, links for reports.

Usage: ``python .ci/set_address.py OWNER/NAME [FOLDER]``, or ``make address
REPOSITORY=OWNER/NAME``. May be run again, also with another address.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# What GitHub accepts as an account and as a repository.
_REPOSITORY = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}/[A-Za-z0-9._-]{1,100}")

_START = "address: start, by .ci/set_address.py"
_END = "address: end"

# By file: how a comment opens and closes there, the line that the text follows, and the
# text.
_PLACES = {
    "README.md": (
        ("<!-- ", " -->"),
        "# ray_jupyter_async\n",
        (
            "\n[![CI]({github}/actions/workflows/ci.yml/badge.svg)]"
            "({github}/actions/workflows/ci.yml)\n"
            "[![Binder](https://mybinder.org/badge_logo.svg)]"
            "(https://mybinder.org/v2/gh/{repository}/HEAD"
            "?urlpath=lab/tree/notebooks/01_quickstart.ipynb)\n"
        ),
    ),
    "pyproject.toml": (
        ("# ", ""),
        "[project.optional-dependencies]\n",
        (
            "[project.urls]\n"
            'Homepage = "{github}"\n'
            'Documentation = "{github}/tree/main/docs"\n'
            'Changelog = "{github}/blob/main/CHANGELOG.md"\n'
            'Issues = "{github}/issues"\n\n'
        ),
    ),
    "CITATION.cff": (
        ("# ", ""),
        "license: Apache-2.0\n",
        'repository-code: "{github}"\n',
    ),
    "SECURITY.md": (
        ("<!-- ", " -->"),
        "You get an answer within a week.\n",
        "\nThe form for private reports: {github}/security/advisories/new\n",
    ),
    ".github/ISSUE_TEMPLATE/config.yml": (
        ("# ", ""),
        "blank_issues_enabled: true\n",
        (
            "contact_links:\n"
            "  - name: A question\n"
            "    url: {github}/discussions\n"
            "    about: How to do something with the package.\n"
            "  - name: A vulnerability\n"
            "    url: {github}/security/advisories/new\n"
            "    about: Please report it privately.\n"
        ),
    ),
}
# Its text is a table, which ends the one before: it goes in front of the line.
_BEFORE = {"pyproject.toml"}


def set_address(folder: Path, repository: str) -> None:
    """Write the address into the files of a checkout.

    Raises
    ------
    ValueError
        If the address is not of the form OWNER/NAME, or a file lacks the line beside
        which its text belongs. Then no file has changed.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository!r} is not of the form OWNER/NAME.")
    changed = {}
    for name, ((opens, closes), anchor, text) in _PLACES.items():
        path = folder / name
        start, end = f"{opens}{_START}{closes}\n", f"{opens}{_END}{closes}\n"
        old = path.read_text(encoding="utf-8")
        without = re.sub(
            f"{re.escape(start)}.*?{re.escape(end)}", "", old, flags=re.DOTALL
        )
        if without.count(anchor) != 1:
            raise ValueError(f"{name} has no single line {anchor.strip()!r}.")
        block = text.format(
            repository=repository, github=f"https://github.com/{repository}"
        )
        block = f"{start}{block}{end}"
        new = f"{block}{anchor}" if name in _BEFORE else f"{anchor}{block}"
        changed[path] = without.replace(anchor, new)
    for path, content in changed.items():
        path.write_text(content, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run the command, and return its exit code."""
    if len(arguments) not in (1, 2):
        print("Usage: python .ci/set_address.py OWNER/NAME [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parent.parent
    try:
        set_address(folder, arguments[0])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
