"""Which licence a model may carry, given the licence of the weights it is made from.

Identifiers are the Hub's (`apache-2.0`, `cc-by-nc-sa-4.0`, ...). This is a guard against evident contradictions, not
legal advice: where it cannot tell, it keeps the base's licence.
"""

from __future__ import annotations

from hf_crossspec.errors import InputError

PERMISSIVE = {
    "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "isc", "zlib", "unlicense",
    "wtfpl", "cc0-1.0", "pddl", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "odc-by",
}  # fmt: skip
NON_COMMERCIAL = {
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
}  # fmt: skip
NO_DERIVATIVES = {
    "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
}  # fmt: skip
SHARE_ALIKE = {
    "cc-by-sa-3.0", "cc-by-sa-4.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0", "odbl",
}  # fmt: skip
KNOWN = PERMISSIVE | NON_COMMERCIAL | NO_DERIVATIVES | SHARE_ALIKE


def derived_licence(base: str | None, claimed: str | None) -> str:
    """The licence of something made from weights under the licence `base`.

    Args:
        base: Licence of the base's weights.
        claimed: What the maker wants to put on the result; `None` inherits.

    Raises:
        InputError: the base's licence is unknown, or forbids the result or the claim.
    """
    if base is None:
        raise InputError("the licence of the base's weights is not known: convert it again with --license")
    if base in NO_DERIVATIVES:
        raise InputError(f"the base is under {base}, which forbids publishing anything made from it")
    if claimed is None or claimed == base or base in PERMISSIVE:
        return claimed or base
    if base in NON_COMMERCIAL and "-sa-" not in base and claimed in NON_COMMERCIAL:
        return claimed
    raise InputError(f"the base is under {base}, so what is made from it cannot be published under {claimed}")


def is_non_commercial(licence: str) -> bool:
    """Whether the licence limits use to non-commercial purposes."""
    return licence in NON_COMMERCIAL or "-nc-" in licence
