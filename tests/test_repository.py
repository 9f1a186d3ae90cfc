"""What the repository says about itself agrees with its metadata."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SET_ADDRESS = ROOT / ".ci" / "set_address.py"

FILES = [
    "README.md",
    "pyproject.toml",
    "CITATION.cff",
    "SECURITY.md",
    ".github/ISSUE_TEMPLATE/config.yml",
]


@pytest.fixture
def checkout(tmp_path):
    """Copy the files that name the repository's address."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def set_address(repository, checkout):
    """Run the command, and return its exit code and what it says."""
    done = subprocess.run(
        [sys.executable, SET_ADDRESS, repository, checkout],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr


def contents(checkout):
    """Return the files' texts by name."""
    return {name: (checkout / name).read_text(encoding="utf-8") for name in FILES}


def test_address_is_entered_in_each_place(checkout):
    assert set_address("some-one/ray_async", checkout) == (0, "")
    texts = contents(checkout)
    for name, text in texts.items():
        assert "/some-one/ray_async" in text, name
    urls = tomllib.loads(texts["pyproject.toml"])["project"]["urls"]
    assert urls["Issues"] == "https://github.com/some-one/ray_async/issues"
    config = yaml.safe_load(texts[".github/ISSUE_TEMPLATE/config.yml"])
    assert [link["name"] for link in config["contact_links"]] == [
        "A question",
        "A vulnerability",
    ]
    citation = yaml.safe_load(texts["CITATION.cff"])
    assert citation["repository-code"] == "https://github.com/some-one/ray_async"


def test_second_address_replaces_the_first(checkout):
    set_address("some-one/ray_async", checkout)
    first = contents(checkout)
    set_address("another/place", checkout)
    assert not any("some-one" in text for text in contents(checkout).values())
    set_address("some-one/ray_async", checkout)
    assert contents(checkout) == first


@pytest.mark.parametrize("wrong", ["no-slash", "a/b/c", "-a/b", "a/b c", "", "a/{x}"])
def test_malformed_address_changes_nothing(wrong, checkout):
    before = contents(checkout)
    code, said = set_address(wrong, checkout)
    assert code == 1
    assert "OWNER/NAME" in said
    assert contents(checkout) == before


def test_missing_place_is_an_error_that_changes_nothing(checkout):
    readme = checkout / "README.md"
    readme.write_text("# Another title\n", encoding="utf-8")
    before = contents(checkout)
    code, said = set_address("some-one/ray_async", checkout)
    assert code == 1
    assert "README.md has no single line" in said
    assert contents(checkout) == before


def test_no_file_names_an_address_that_does_not_exist():
    for name in FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        if "set_address.py -->" not in text and "set_address.py\n" not in text:
            assert not re.search(
                r"OWNER|mybinder\.org/v2|github\.com/[\w-]+/ray_jup", text
            )


def test_versions_agree():
    version = PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[^]]*)\]", changelog, flags=re.MULTILINE)
    assert citation["version"] == version
    assert recipe["context"]["version"] == version
    assert released[0] == version


def test_conda_recipe_requires_what_the_package_does():
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text(encoding="utf-8"))
    core, complete = recipe["outputs"]
    _, *rest = complete["requirements"]["run"]
    ours = {name.replace(" ", "") for name in [*core["requirements"]["run"], *rest]}
    theirs = set(PROJECT["project"]["dependencies"])
    theirs.add(f"python{PROJECT['project']['requires-python']}")
    assert ours == {name.replace("ray>=", "ray-core>=") for name in theirs}


def test_classifiers_name_the_supported_pythons():
    prefix = "Programming Language :: Python :: 3."
    minors = [
        int(line.removeprefix(prefix))
        for line in PROJECT["project"]["classifiers"]
        if line.startswith(prefix)
    ]
    oldest = int(PROJECT["project"]["requires-python"].removeprefix(">=3."))
    assert minors == list(range(oldest, 15))
