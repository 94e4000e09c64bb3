"""Face databases' evaluation protocols as data: who is trained on, enrolled and compared, with counts that must hold.

Importing this is cheap: definitions and list readers need nothing but the standard library. The pictures are the user's
copy of a database, to be had from its owner.

Example:
    >>> from hf_crossspec.data.protocols import get_protocol
    >>> get_protocol("casia-nir-vis-2").counts(1, None)["test probe pictures"]
    6208
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hf_crossspec.data.protocols import (
    casia_nir_vis,
    cufs,
    lamp_hq,
    mcxface,
    oulu_buaa,
    pair_lists,
    polathermal,
    scface,
    tufts,
)
from hf_crossspec.data.protocols.base import Copy, Pair, Picture, Protocol, ProtocolRows
from hf_crossspec.errors import InputError

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for family in (casia_nir_vis, lamp_hq, oulu_buaa, polathermal, mcxface, tufts, scface, cufs, pair_lists)
    for protocol in family.PROTOCOLS
}

_BUILDERS = ("PreparedProtocol", "build_protocol", "prepare_protocol", "read_protocol")
__all__ = ["PROTOCOLS", "Copy", "Pair", "Picture", "Protocol", "ProtocolRows", "get_protocol", *_BUILDERS]


def get_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        InputError: no such protocol.
    """
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def __getattr__(name: str) -> Any:
    if name in _BUILDERS:  # these need `datasets`
        return getattr(import_module("hf_crossspec.data.protocols.build"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
