"""Where the packaged files are: icons, translations, the storefront's css and js, templates for deployment.

`path("storefront", "shop.css")` is right in a checkout, in an installed wheel and in a PyInstaller bundle, because
this package lies beside its files in all three. Used by both sides; holds no code but this.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent
"""The folder of all packaged files. Read-only: an installation may lie where nobody can write."""


def path(*parts: str) -> Path:
    """The path of one packaged file or folder, whether it exists or not. `parts` are names written in code."""
    return ROOT.joinpath(*parts)
