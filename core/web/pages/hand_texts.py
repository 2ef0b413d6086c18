"""What the pages say where a face is marked by hand; a table for each language."""

from __future__ import annotations

from typing import TypedDict


class HandTexts(TypedDict):
    """open_missing: where no face was found, open_other: where one was. points: as `core.hand_landmarks.POINTS`; place: filled with the
    name of a point and its place in percent.
    """

    open_missing: str
    open_other: str
    open_again: str
    title: str
    hint: str
    points: list[str]
    place: str
    remove: str
    cancel: str
    use: str


ENGLISH = HandTexts(
    open_missing="Show where the face is …",
    open_other="Another face …",
    open_again="Move the points …",
    title="Where is the face?",
    hint="Put the six points on the eyes, on both corners and the middle of the mouth, and on the chin. Drag them, or choose one and "
    "move it with the arrow keys. It may be an animal, a doll or a thing.",
    points=["left eye", "right eye", "left corner", "right corner", "lips", "chin"],
    place="{name}: {x} % from the left, {y} % from the top",
    remove="Find it automatically",
    cancel="Cancel",
    use="Use these points",
)

GERMAN = HandTexts(
    open_missing="Zeigen, wo das Gesicht ist …",
    open_other="Ein anderes Gesicht …",
    open_again="Punkte verschieben …",
    title="Wo ist das Gesicht?",
    hint="Setze die sechs Punkte auf die Augen, auf beide Mundwinkel und die Mitte des Mundes und auf das Kinn. Zieh sie, oder wähle einen "
    "und bewege ihn mit den Pfeiltasten. Es darf ein Tier, eine Puppe oder ein Ding sein.",
    points=["linkes Auge", "rechtes Auge", "linker Mundwinkel", "rechter Mundwinkel", "Lippen", "Kinn"],
    place="{name}: {x} % von links, {y} % von oben",
    remove="Selbst suchen lassen",
    cancel="Abbrechen",
    use="Diese Punkte nehmen",
)
