"""A model may only carry a licence that its base's allows."""

from __future__ import annotations

import pytest

from hf_crossspec import InputError
from hf_crossspec.hub.licences import KNOWN, derived_licence, is_non_commercial


@pytest.mark.parametrize(
    ("base", "claimed", "licence"),
    [
        ("cc-by-nc-sa-4.0", None, "cc-by-nc-sa-4.0"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0"),
        ("apache-2.0", None, "apache-2.0"),
        ("mit", "cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0"),
        ("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0"),
        ("my-own-terms", None, "my-own-terms"),
    ],
)
def test_allowed(base: str, claimed: str | None, licence: str) -> None:
    assert derived_licence(base, claimed) == licence


@pytest.mark.parametrize(
    ("base", "claimed", "message"),
    [
        ("cc-by-nc-sa-4.0", "apache-2.0", "cannot be published under apache-2.0"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-4.0", "cannot be published"),
        ("cc-by-nc-4.0", "mit", "cannot be published"),
        ("cc-by-sa-4.0", "mit", "cannot be published"),
        ("gpl-3.0", "apache-2.0", "cannot be published"),
        ("my-own-terms", "mit", "cannot be published"),
        ("cc-by-nc-nd-4.0", None, "forbids publishing"),
        ("cc-by-nd-4.0", "cc-by-nd-4.0", "forbids publishing"),
        (None, "mit", "not known"),
    ],
)
def test_refused(base: str | None, claimed: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        derived_licence(base, claimed)


def test_commercial_use() -> None:
    assert {licence for licence in KNOWN if is_non_commercial(licence)} == {
        licence for licence in KNOWN if "-nc-" in licence
    }
