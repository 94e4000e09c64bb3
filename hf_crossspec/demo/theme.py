"""Looks: the system's fonts, nothing from other hosts, light and dark, and the colours of the package's plots."""

from __future__ import annotations

from importlib.resources import files

import gradio as gr

TITLE = "Cross-spectral face recognition"
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """A quiet theme in the system's fonts."""
    return gr.themes.Base(
        primary_hue="blue", secondary_hue="slate", neutral_hue="slate", radius_size="md", font=FONTS,
        font_mono=MONO_FONTS,
    ).set(
        body_background_fill="#f8fafc", body_background_fill_dark="#0b1120",
        block_background_fill="#ffffff", block_background_fill_dark="#111a2e",
        body_text_color_subdued="#475569", body_text_color_subdued_dark="#a8b5c8",
        block_label_text_color="#334155", block_label_text_color_dark="#cbd5e1",
        block_info_text_color="#475569", block_info_text_color_dark="#a8b5c8",
        button_primary_background_fill="#1d4ed8", button_primary_background_fill_hover="#1e40af",
        button_primary_background_fill_dark="#2563eb", button_primary_text_color="#ffffff",
    )  # fmt: skip


def css() -> str:
    """The style sheet of what Gradio has no component for."""
    return (files("hf_crossspec") / "demo" / "style.css").read_text(encoding="utf-8")
