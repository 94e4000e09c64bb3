"""Results as HTML that needs no script, no file and no other host. Everything from outside is escaped by `Markup`."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from markupsafe import Markup
from PIL import Image

from hf_crossspec.demo.engine import ALIGNED, Look
from hf_crossspec.evaluation.calibration_file import ThresholdEntry
from hf_crossspec.faces.acquisition import AcquiredFace
from hf_crossspec.recognition.results import Decision, Threshold, Verification

LOWEST, HIGHEST = -0.2, 1.0  # of the similarity scale; what lies beyond is drawn at its end
TITLES = {"without": "Without the adapter", "with": "With the adapter"}
VERDICTS = {
    Decision.MATCH: ("match", "✓ Same person"),
    Decision.NO_MATCH: ("no-match", "✗ Different people"),
    Decision.UNCERTAIN: ("uncertain", "? Uncertain"),
}


def data_uri(picture: Image.Image) -> str:
    """A picture as part of the page."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", quality=88)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def note(text: str, kind: str = "plain") -> Markup:
    """A line of text; `kind` is plain, problem or quiet."""
    role = Markup(' role="alert"') if kind == "problem" else ""
    return Markup('<p class="note {}"{}>{}</p>').format(kind, role, text)


def face_card(look: Look | None) -> Markup:
    """What was found in a picture: the face's place and the aligned crop, or why there is none."""
    if look is None:
        return Markup("")
    crop = look.crop
    if crop is None:
        message = getattr(look.face, "message", "").removeprefix("picture: ")
        return note(
            f"No usable face: {message}. Try a picture that shows one face larger and from the front.", "problem"
        )
    remark = _acquired(look.face)
    if look.picture.size == ALIGNED:
        return note(remark, "quiet")
    found = Markup('<img src="{}" alt="the picture with the face marked">').format(data_uri(look.picture))
    return Markup('<div class="face">{}<img class="crop" src="{}" alt="the aligned face"><span>{}</span></div>').format(
        found, data_uri(crop), remark
    )


def _acquired(face: object) -> str:
    if not isinstance(face, AcquiredFace) or face.score is None:
        return "112 × 112: an aligned face."
    several = f"; {face.faces} faces were found, the largest near the centre is used" if (face.faces or 0) > 1 else ""
    return f"face found (score {face.score:.2f}), aligned{several}"


def verification_cards(results: dict[str, Verification], same: bool | None = None) -> Markup:
    """The systems side by side, each with its own threshold; `same` is the truth where it is known."""
    cards = [_verification_card(name, result, len(results) == 1, same) for name, result in results.items()]
    people = {True: "one person", False: "two different people"}
    truth = Markup("") if same is None else note(f"These two rendered pictures show {people[same]}.", "truth")
    return truth + Markup('<div class="cards" id="verdict">{}</div>').format(Markup("").join(cards))


def _verification_card(name: str, result: Verification, single: bool, same: bool | None) -> Markup:
    title = title_of(name, single)
    words = verdict(result.decision, result.reason, judge(result.decision, same))
    score = Markup("") if result.score is None else score_scale(result.score, result.threshold)
    return Markup(
        '<section class="card {name}" aria-label="{title}"><h3>{title}</h3>{verdict}{scale}{basis}</section>'
    ).format(
        name=name, title=title, verdict=words, scale=score,
        basis=threshold_basis(result.threshold),
    )  # fmt: skip


def title_of(name: str, single: bool) -> str:
    """What a system is called: without an adapter there is only one."""
    return "The network" if single else TITLES[name]


def judge(decision: Decision, same: bool | None) -> str:
    """Whether a decision is right, where the truth is known."""
    if same is None or decision is Decision.UNCERTAIN:
        return ""
    return "right" if (decision is Decision.MATCH) == same else "wrong"


def verdict(decision: Decision, reason: str, judged: str = "", words: str = "") -> Markup:
    """A decision in words and colour; the reason only where it is needed to understand it."""
    kind, usual = VERDICTS[decision]
    why = note(f"{reason}.", "quiet") if decision is Decision.UNCERTAIN else Markup("")
    tag = Markup(' <small class="{}">{}</small>').format(judged, judged) if judged else Markup("")
    return Markup('<p class="verdict {}">{}{}</p>{}').format(kind, words or usual, tag, why)


def score_scale(score: float, threshold: Threshold | None) -> Markup:
    """A similarity on its scale, with the threshold, its interval, and what is accepted."""
    parts, said = Markup(""), f"similarity {score:.3f}"
    if threshold is not None:
        at = _percent(threshold.value)
        parts += Markup('<i class="accepted" style="left:{}%"></i>').format(at)
        low, high = _percent(threshold.low), _percent(threshold.high)
        parts += Markup('<i class="interval" style="left:{}%;width:{}%"></i>').format(low, round(high - low, 2))
        parts += Markup('<i class="threshold" style="left:{}%"></i>').format(at)
        parts += Markup('<span class="threshold-name" style="left:{}%">threshold {}</span>').format(
            at, f"{threshold.value:.2f}"
        )
        said += f", threshold {threshold.value:.3f}"
    return Markup(
        '<div class="scale" role="img" aria-label="{}"><b style="left:{}%">{}</b><div class="track">{}'
        '<i class="marker" style="left:{}%"></i></div></div>'
    ).format(said, _percent(score), f"{score:.2f}", parts, _percent(score))


def threshold_basis(threshold: Threshold | None) -> Markup:
    """What a threshold stands on."""
    if threshold is None:
        return note("No threshold is calibrated for this pair of modalities, so nothing is decided.", "quiet")
    if threshold.entry is None:
        return note(f"Threshold {threshold.value:.3f}, chosen by hand.", "quiet")
    return note(entry_words(threshold.entry), "quiet")


def entry_words(entry: ThresholdEntry) -> str:
    """A calibrated threshold in a sentence or two."""
    words = (
        f"Threshold {entry.threshold:.3f} [{entry.low:.3f}, {entry.high:.3f}] for a false match rate of "
        f"{100 * entry.fmr:g}\u00a0%."
    )
    seen, split = (entry.test, "test") if entry.test else (entry.development, "development")
    return (
        f"{words} Seen on {split} people: {100 * seen.fmr.value:.2g}\u00a0% of pairs of different people accepted, "
        f"{100 * seen.fnmr.value:.2g}\u00a0% of pairs of the same person missed."
    )


def score_bars(rows: Sequence[tuple[str, Image.Image | None, float, bool]], threshold: Threshold | None) -> Markup:
    """Names with pictures and scores as bars, best first; the marked row is the one to look for."""
    at = None if threshold is None else _percent(threshold.value)
    line = Markup("") if at is None else Markup('<i class="threshold" style="left:{}%"></i>').format(at)
    bars = [
        Markup(
            '<li class="{kind}">{picture}<span class="name">{name}</span><span class="bar"><i class="fill" '
            'style="width:{width}%"></i>{line}</span><span class="score">{score}</span></li>'
        ).format(
            kind="wanted" if wanted else "",
            name=name,
            line=line,
            score=f"{score:.2f}",
            width=_percent(score),
            picture=Markup("") if crop is None else Markup('<img src="{}" alt="">').format(data_uri(crop)),
        )
        for name, crop, score, wanted in rows
    ]
    return Markup('<ol class="bars">{}</ol>').format(Markup("").join(bars))


def contact_sheet(pictures: Sequence[tuple[str, Image.Image]], css_class: str = "sheet") -> Markup:
    """Small pictures with captions."""
    figures = [
        Markup('<figure><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(data_uri(crop), name, name)
        for name, crop in pictures
    ]
    return Markup('<div class="{}">{}</div>').format(css_class, Markup("").join(figures))


def _percent(score: float) -> float:
    """Where a score lies on the scale, in per cent of its width."""
    return round(100 * (min(max(score, LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST), 2)
