"""A preprocessor of mdBook: links and images that leave docs/ lead somewhere in the book.

A page of docs/book/ holds one file of the repository, and links to that file lead to the page. Images become part of the page that shows them.
A link to any other file becomes its words and the file's path, because the book doesn't hold it.
"""

import base64
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
INCLUDED = re.compile(r"\{\{#include (\S+)\}\}")
# Code in fences or in backticks, which has no links; or a link or an image.
PARTS = re.compile(r"(^```.*?^```|`[^`\n]+`)|(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)", re.DOTALL | re.MULTILINE)


def sources():
    """The file that each page shows, by the page's path in docs/."""
    found = {}
    for page in DOCS.glob("**/*.md"):
        held = INCLUDED.fullmatch(page.read_text().strip())
        found[page.relative_to(DOCS)] = (page.parent / held[1]).resolve() if held else page
    return found


def changed(content, page, shown, pages):
    def part(match):
        code, is_image, words, link = match.groups()
        path, _, anchor = (link or "").partition("#")
        if code or not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        target = (shown.parent / path).resolve()
        if is_image:
            kind = {".svg": "svg+xml", ".png": "png"}[target.suffix]
            return f"![{words}](data:image/{kind};base64,{base64.b64encode(target.read_bytes()).decode()})"
        if target in pages:
            up = "../" * (len(page.parts) - 1)
            return f"[{words}]({up}{pages[target]}{'#' + anchor if anchor else ''})"
        name = target.relative_to(ROOT)
        return words if words.strip("`") == str(name) else f"{words} (`{name}`)"

    return PARTS.sub(part, content)


def walk(items, shown, pages):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter and chapter["path"]:
            page = pathlib.PurePosixPath(chapter["path"])
            chapter["content"] = changed(chapter["content"], page, shown[pathlib.Path(page)], pages)
        if chapter:
            walk(chapter["sub_items"], shown, pages)


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    shown = sources()
    walk(book.get("items") or book.get("sections"), shown, {source: page for page, source in shown.items()})
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
