"""The choice of the person: a new photo, with a choice of its faces, or one of the visitor's avatars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from core.errors import AvatarError, OptionError
from core.hand_landmarks import HandLandmarks
from core.request import Avatar, Framing
from core.service import options as named_options
from core.service.avatars import AvatarService
from core.service.face_previews import PhotoPreview
from core.web.pages.hand_html import hand_html
from core.web.pages.html import Choice, cards_html, preview_html
from core.web.pages.part_html import part_html
from core.web.pages.sharing_html import camera_html
from core.web.pages.tabs.common import Context, owner_of_request, uploaded
from core.web.pages.texts import Texts
from core.web.pages.widgets import cards, kept_text, photo_board, photo_input, quiet

NEW_PHOTO = "new"


@dataclass(frozen=True)
class PhotoInputs:
    """A photo, which of its faces, and which part of it. face: its number. face_of: the photo whose face was chosen before it was shown.
    crop: as the option is written; "" for what is around the face. landmarks: the same of the points of a face that was marked by hand;
    "" for one that was found. known: the events after which it is known who is in the photo, and
    which of them is meant.
    """

    photo: Any
    faces: Any
    face: Any
    face_of: Any
    crop: Any
    landmarks: Any
    known: Sequence[Any]

    def components(self) -> set[Any]:
        return {self.photo, self.crop, *self.framing_components()}

    def framing_components(self) -> set[Any]:
        """What `framing` reads."""
        return {self.face, self.landmarks}

    def framing(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """The options that say which face is meant, of the components' values."""
        landmarks = str(values[self.landmarks] or "")
        return {"landmarks": landmarks} if landmarks else {"face_index": values[self.face]}

    def options(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """By name, of the components' values. A crop is for a square, where no other format is chosen."""
        crop = str(values[self.crop] or "")
        return {**self.framing(values), **({"crop": crop, "aspect": "1:1"} if crop else {})}

    def ask_anew(self, consent: Any) -> None:
        """Unticks the consent when the visitor chooses another photo: it may show somebody else."""
        self.photo.input(None, None, consent, js="() => false", **quiet())

    def chosen(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What is set, so that `restored` can set it again."""
        texts = {"crop": str(values[self.crop] or ""), "landmarks": str(values[self.landmarks] or "")}
        return {"photo": values[self.photo] or "", "face": values[self.face], **texts}

    def restored(self, state: Mapping[str, Any]) -> list[Any]:
        """Updates of `outputs`. state: as `chosen` made it; a photo that is gone is left out."""
        photo, outputs = uploaded(state.get("photo")), self.outputs()
        if photo is None or not photo.is_file():
            return [gr.skip()] * len(outputs)
        picture = Path(state["photo"])  # browsers do not show a video as a picture: the one that stands for it is put in at once
        texts = [str(state.get(name, "")) for name in ("crop", "landmarks")]
        shown = str(picture if picture.is_file() else photo)
        return [gr.update(value=shown), state.get("face", Framing.face_index), shown, *texts]

    def outputs(self) -> list[Any]:
        return [self.photo, self.face, self.face_of, self.crop, self.landmarks]


@dataclass(frozen=True)
class PersonInputs:
    """The components that say who speaks. token: "" for a new photo; cards, new: None on a page without avatars. known: the events after
    which it is known who that is.
    """

    picked: PhotoInputs
    token: Any
    cards: Any | None
    new: Any
    known: Sequence[Any]

    def components(self) -> set[Any]:
        return {*self.picked.components(), self.token}

    def chosen(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """What is set, so that `picked.restored` can set the photo again."""
        return {**self.picked.chosen(values), "avatar": str(values[self.token] or "")}

    def outputs(self) -> list[Any]:
        """What `shown` updates."""
        return [self.token, self.cards, self.new]


def person_inputs(context: Context, name: str = "th", parts: bool = True) -> PersonInputs:
    """name: what the ids of its parts begin with. parts: a part of the photo can be chosen."""
    token = kept_text()
    board = cards(visible=False, elem_id=f"{name}-person") if context.contents.everything else None
    with gr.Column(elem_classes="th-plain-column") as new:
        picked = pick_face(context, f"{name}-photo", f"{name}-faces", parts=parts)
    known = list(picked.known)
    if board is not None:

        def choose(event: gr.EventData) -> tuple[str, Any]:
            key = str(event._data.get("key", ""))
            chosen = "" if key == NEW_PHOTO else key
            return chosen, gr.update(visible=not chosen)

        known.append(board.select(choose, None, [token, new], **quiet(queue=False)))
    return PersonInputs(picked, token, board, new, known)


@dataclass(frozen=True)
class Card:
    """What is shown of an avatar. thumbnail: JPEG. moving: WebP; None of a photo."""

    token: str
    name: str
    thumbnail: bytes
    moving: bytes | None


def cards_of(avatars: AvatarService, owner: str) -> list[Card]:
    """The owner's avatars with their pictures; one that another page deletes meanwhile is left out."""
    return [card for avatar in avatars.of(owner) for card in _card(avatars, avatar)]


def _card(avatars: AvatarService, avatar: Avatar) -> list[Card]:
    try:
        token, owner = avatar.token, avatar.owner
        return [Card(token, avatar.name, avatars.thumbnail(token, owner), avatars.moving_thumbnail(token, owner))]
    except AvatarError:
        return []


def shown(texts: Texts, avatars: Sequence[Card], chosen: str) -> list[Any]:
    """Updates of `PersonInputs.outputs`. chosen: a token; where it is not among the avatars any more, a new photo."""
    chosen = chosen if any(card.token == chosen for card in avatars) else ""
    choices = [Choice(NEW_PHOTO, texts.new_photo, None), *avatar_choices(texts, avatars)]
    html = cards_html(choices, chosen or NEW_PHOTO, texts.person)
    return [chosen, gr.update(value=html, visible=bool(avatars)), gr.update(visible=not chosen)]


def avatar_choices(texts: Texts, avatars: Sequence[Card]) -> list[Choice]:
    return [Choice(card.token, card.name or texts.avatar_unnamed, card.thumbnail, card.moving) for card in avatars]


def pick_face(context: Context, photo_id: str, faces_id: str, parts: bool = False) -> PhotoInputs:
    """A photo, and below it the cut of each of its faces, and what is wrong with it; the largest is chosen until another one is.

    parts: also which part of the photo is shown.
    """
    texts = context.texts
    photo = photo_input(texts, height=190, buttons=["fullscreen"], elem_id=photo_id)
    gr.HTML(camera_html(texts, photo_id), elem_classes="th-html th-touch")
    faces = photo_board(photo_id, visible=False, elem_id=faces_id)
    face, face_of, crop, landmarks = gr.Number(Framing.face_index, visible=False), kept_text(), kept_text(), kept_text()

    async def previewed(given: Path | None, by_hand: str, owner: str) -> PhotoPreview | None:
        try:
            return PhotoPreview() if given is None else await context.service.face_previews.of(given, owner, _points(by_hand))
        except OptionError as error:
            return PhotoPreview(error=error, photo=True)

    def board(preview: PhotoPreview, face: int, crop: str, by_hand: str) -> Any:
        html = preview_html(texts, preview, face) + (part_html(texts, preview, crop) if parts else "") + hand_html(texts, preview, by_hand)
        return gr.update(value=html, visible=bool(html))

    async def look(path: str | None, face: float | None, face_of: str, crop: str, by_hand: str, request: gr.Request) -> list[Any]:
        given = uploaded(path)
        same = given is not None and given == uploaded(face_of)
        by_hand = str(by_hand or "") if same else ""
        preview = await previewed(given, by_hand, owner_of_request(request))
        if preview is None:  # another photo was chosen meanwhile
            return [gr.skip()] * 5
        known = same and 0 <= int(face or 0) < len(preview.faces)
        chosen = int(face or 0) if known else Framing.face_index
        crop = str(crop or "") if known else ""
        shown = gr.skip() if preview.shown is None or str(preview.shown) == path else str(preview.shown)
        return [board(preview, chosen, crop, by_hand), chosen, shown, crop, by_hand]

    def choose(event: gr.EventData) -> tuple[int, str]:
        key = str(event._data.get("key", ""))
        return int(key) if key.isdecimal() and len(key) < 4 else Framing.face_index, ""

    async def choose_place(path: str | None, request: gr.Request, event: gr.EventData) -> list[Any]:
        if "landmarks" not in event._data:
            return [gr.skip(), gr.skip(), str(event._data.get("crop", ""))[:80], gr.skip()]
        by_hand = str(event._data["landmarks"])[:200]
        preview = await previewed(uploaded(path), by_hand, owner_of_request(request))
        if preview is None:
            return [gr.skip()] * 4
        return [board(preview, Framing.face_index, "", by_hand), Framing.face_index, "", by_hand]

    known, seen = [photo, face, face_of, crop, landmarks], [faces, face, photo, crop, landmarks]
    looked = photo.change(look, known, seen, **quiet(concurrency_limit=None))
    picked = faces.select(choose, None, [face, crop], **quiet(queue=False))
    placed = faces.submit(choose_place, photo, [faces, face, crop, landmarks], **quiet(queue=False))
    return PhotoInputs(photo, faces, face, face_of, crop, landmarks, (looked, picked, placed))


def _points(by_hand: str) -> HandLandmarks | None:
    """As the option is written. Raises OptionError."""
    framing = named_options.read({"landmarks": by_hand}).framing
    framing.verify()
    return framing.landmarks
