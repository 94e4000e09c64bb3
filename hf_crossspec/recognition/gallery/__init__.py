"""Galleries: templates of enrolled people, and whom of them a probe is most like."""

from hf_crossspec.recognition.gallery.contract import Gallery, Images, NetworkStamp, SearchResult
from hf_crossspec.recognition.gallery.opening import open_gallery

__all__ = ["Gallery", "Images", "NetworkStamp", "SearchResult", "open_gallery"]
