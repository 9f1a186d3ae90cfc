"""Check that a built docs site can be read offline, straight from its files.

No page and no style sheet may load anything from another place (a script, a style
sheet, a font, an image, a frame), and each link to a file of the site must lead to a
file and to an anchor in it. Links to other sites are not followed.

Usage: ``python .ci/check_site.py FOLDER``
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser loads by itself, by element.
_LOADED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "input": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
# Relations of a <link> that only name a page.
_NAMING = {"author", "canonical", "help", "index", "license", "next", "prev", "search"}

_IN_CSS = re.compile(
    r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""", re.IGNORECASE
)


class Page(HTMLParser):
    """What a page loads, what it links to, and its anchors."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the addresses in an element."""
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        for name in _LOADED.get(tag, ()):
            if name in values:
                self.loaded += _addresses(name, values[name])
        if tag == "link" and not _NAMING.issuperset(values.get("rel", "").split()):
            self.loaded.append(values.get("href", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.loaded += in_css(values.get("style", ""))
        self.anchors |= {values[name] for name in ("id", "name") if name in values}

    def handle_endtag(self, tag: str) -> None:
        """Leave a style sheet."""
        self._in_style = False

    def handle_data(self, data: str) -> None:
        """Collect the addresses in a style sheet."""
        if self._in_style:
            self.loaded += in_css(data)


def _addresses(attribute: str, value: str) -> list[str]:
    if attribute != "srcset":
        return [value]
    return [part.split()[0] for part in value.split(",") if part.strip()]


def in_css(text: str) -> list[str]:
    """Return the addresses that a style sheet loads."""
    return [url or imported for url, imported in _IN_CSS.findall(text)]


def is_elsewhere(address: str) -> bool:
    """Whether an address is none of a file of the site or of the page itself."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data", "blob")


def problems(site: Path) -> list[str]:
    """Return what is wrong with a site, one line each."""
    page = cache(lambda path: Page(path.read_text(encoding="utf-8")))
    found = []
    for path in sorted(site.rglob("*.css")):
        found += [
            f"{path.relative_to(site)} loads {address}"
            for address in in_css(path.read_text(encoding="utf-8"))
            if is_elsewhere(address)
        ]
    for path in sorted(site.rglob("*.html")):
        # Parts of the theme, which are no pages.
        if "_static" in path.relative_to(site).parts:
            continue
        place = path.relative_to(site)
        here = page(path)
        found += [
            f"{place} loads {address}"
            for address in here.loaded
            if is_elsewhere(address) or not _exists(path, address)
        ]
        for link in here.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else path.parent / unquote(parts.path)
            if not target.is_file():
                found.append(f"{place} links to {link}, which is not there")
            elif (
                parts.fragment
                and target.suffix == ".html"
                and unquote(parts.fragment) not in page(target.resolve()).anchors
            ):
                found.append(f"{place} links to {link}, which has no such anchor")
    return found


def _exists(path: Path, address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.scheme) or (path.parent / unquote(parts.path)).is_file()


def main(folder: str) -> int:
    """Check a site; return 1 if something is wrong with it."""
    site = Path(folder).resolve()
    pages = len(list(site.rglob("*.html")))
    if not pages:
        print(f"no page in {folder}")
        return 1
    found = problems(site)
    for problem in found:
        print(problem)
    if not found:
        print(f"{pages} pages in {folder}, which load nothing from elsewhere")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
