"""The console's files by themselves: words, what it is built on, colours, and nothing from outside."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import product
from pathlib import Path

import pytest

from monitor.commands._words import CHINESE
from monitor.domain.access import Role
from monitor.domain.equipment import EquipmentKind
from monitor.domain.fault import FaultKind, FaultState
from monitor.domain.incident import Clock, IncidentKind, Reason, Severity, Status
from monitor.domain.respond import BY_PEOPLE

CONSOLE = Path(__file__).parents[2] / "api" / "console"
SCRIPTS = [*sorted((CONSOLE / "app").rglob("*.js")), CONSOLE / "sign-in.js"]
PAGES = sorted(CONSOLE.glob("*.html"))
STYLES = sorted(CONSOLE.rglob("*.css"))
VENDOR = CONSOLE / "vendor"

#: Groups of words whose members come from the centre: all of them have to be there, and no other.
GROUPS = {
    "fault": set(FaultKind),
    "fault_state": set(FaultState),
    "incident_kind": set(IncidentKind),
    "severity": {one.name.lower() for one in Severity},
    "status": set(Status),
    "role": set(Role),
    "kind": set(EquipmentKind),
    "clock": set(Clock),
    "reason": set(Reason),
    "what": {"fault_raised", "fault_cleared", *BY_PEOPLE},
    "step": set(BY_PEOPLE),
    "problem": {"step-not-possible", "step-not-allowed", "text-needed", "not-found", "unavailable"},
}


def catalogue(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((CONSOLE / "catalogue" / f"{language}.json").read_text("utf-8"))
    return found


def scripts() -> str:
    return "\n".join(path.read_text("utf-8") for path in SCRIPTS)


def literal_keys() -> set[str]:
    """Keys that stand in scripts and pages as they are."""
    known = set(catalogue("zh"))
    quoted = set(re.findall(r'"([a-z_]+\.[A-Za-z0-9_.-]+)"', scripts()))
    spoken = set(re.findall(r'\b(?:t|say)\("([^"]+)"', scripts()))
    pages = {key for page in PAGES for key in re.findall(r'data-text="([^"]+)"', page.read_text("utf-8"))}
    return (quoted & known) | spoken | pages


def test_both_languages_say_the_same_things() -> None:
    chinese, english = catalogue("zh"), catalogue("en")
    assert list(chinese) == list(english)
    for key, text in chinese.items():
        assert text.strip(), key
        assert english[key].strip(), key
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key])), key


def test_every_key_used_is_there_and_every_key_there_is_used() -> None:
    known = set(catalogue("zh"))
    used = literal_keys()
    prefixes = set(re.findall(r"`([a-z_]+\.(?:[a-z]+_)?)\$\{", scripts()))
    prefixes |= {f"{group}." for group in re.findall(r'named\("([a-z_]+)"', scripts())}
    made = {key for key in known if any(key.startswith(prefix) for prefix in prefixes)}
    assert used - known == set()
    assert known - used - made == set()
    assert all(any(key.startswith(prefix) for key in known) for prefix in prefixes)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_words_has_what_the_centre_says(group: str) -> None:
    assert {key.partition(".")[2] for key in catalogue("zh") if key.startswith(f"{group}.")} == GROUPS[group]


def test_faults_are_called_what_the_terminal_calls_them() -> None:
    words = catalogue("zh")
    assert {kind: words[f"fault.{kind}"] for kind in CHINESE} == CHINESE


def test_faces_and_facets_have_words() -> None:
    text = (CONSOLE / "app" / "faces.js").read_text("utf-8")
    faces = set(re.findall(r'^  \["(\w+)", "', text, re.MULTILINE))
    assert {key.partition(".")[2] for key in catalogue("zh") if key.startswith("face.")} == faces
    assert faces


def test_no_words_stand_in_scripts() -> None:
    for path in SCRIPTS:
        code = re.sub(r"(?m)^\s*(//|\*|/\*\*).*$", "", path.read_text("utf-8"))
        assert not re.search(r"[一-鿿]", code), path


def test_what_it_is_built_on_is_what_the_list_says() -> None:
    rows = re.findall(r"^\| (\S+\.js) \| (\S+) \| (\S+) \| .* \| `([0-9a-f]{64})` \|$", readme(), re.MULTILINE)
    assert {name for name, *_ in rows} == {path.name for path in VENDOR.glob("*.js")}
    for name, _, _, checksum in rows:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == checksum, name


def test_what_it_is_built_on_comes_with_its_licences() -> None:
    named = set(re.findall(r"LICENSE-\w+\.txt", readme()))
    assert named == {path.name for path in VENDOR.glob("LICENSE-*")}
    assert "Permission is hereby granted" in (VENDOR / "LICENSE-preact.txt").read_text()
    assert "Apache License" in (VENDOR / "LICENSE-htm.txt").read_text()


def readme() -> str:
    return (VENDOR / "README.md").read_text("utf-8")


def test_every_import_is_a_file_of_ours() -> None:
    for path in [*SCRIPTS, *VENDOR.glob("*.js")]:
        for wanted in re.findall(r'(?:from|import)\s*\(?"([^"]+)"', path.read_text("utf-8")):
            assert wanted.startswith("."), (path, wanted)
            assert (path.parent / wanted).is_file(), (path, wanted)


def test_nothing_is_asked_from_elsewhere_or_made_of_strings() -> None:
    for path in [*SCRIPTS, *PAGES, *STYLES]:
        text = path.read_text("utf-8")
        assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", re.sub(r"(?m)^\s*//.*$", "", text)), path
        assert not re.search(r"\beval\(|new Function|innerHTML|dangerouslySetInnerHTML", text), path
    for page in PAGES:
        text = page.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), page


def test_files_and_lines_are_short() -> None:
    for path in [*SCRIPTS, *PAGES, *STYLES]:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 400, path
        assert max(map(len, lines)) <= 120 or path.suffix != ".js", path


Colour = tuple[float, float, float]


def themes(path: Path) -> list[dict[str, str]]:
    """The colours of the dark theme, and of the light one over it."""
    text = path.read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    return [found[0], {**found[0], **found[1]}]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


INKS = ("text", "soft", "accent", "good", "warn", "bad", "critical", "high", "medium", "low")
GROUNDS = ("ground", "panel", "raised")
#: Signs on their coloured grounds.
CELLS = ("critical", "warn", "up", "down", "medium", "high", "bad", "accent")


@pytest.mark.parametrize("theme", [0, 1], ids=["dark", "light"])
def test_text_can_be_read(theme: int) -> None:
    colours = themes(CONSOLE / "style" / "base.css")[theme]
    pairs = [*product(INKS, GROUNDS), *((ground, "on-colour") for ground in CELLS), ("text", "critical-ground")]
    weak = {(a, b): round(contrast(colours[a], colours[b]), 2) for a, b in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", [0, 1], ids=["dark", "light"])
def test_text_of_the_sign_in_page_can_be_read(theme: int) -> None:
    colours = themes(CONSOLE / "sign-in.css")[theme]
    pairs = [*product(("text", "soft", "bad"), ("ground", "panel")), ("accent", "on-colour")]
    assert all(contrast(colours[a], colours[b]) >= 4.5 for a, b in pairs)
