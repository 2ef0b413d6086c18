"""What was said in one conversation, bounded, and cut to what was heard of an answer."""

from __future__ import annotations

from core.service.chat.partner import Message

MAX_MESSAGE_CHARS = 4000
"""Of what a user says at once."""
UNHEARD = "…"
MAX_MESSAGES = 40
MAX_CHARS = 24_000
"""Of all messages that are kept; the oldest are forgotten first, the latest never."""


class History:
    """Turns are numbered from 0 and come in order. Not thread-safe: a conversation has one event loop."""

    def __init__(self) -> None:
        self._turns: list[tuple[int, Message]] = []

    def ask(self, turn: int, text: str) -> None:
        """The user's message that begins a turn."""
        self._turns.append((turn, Message("user", text)))
        self._forget()

    def answer(self, turn: int, text: str) -> None:
        """Sets the answer to that turn's message; "" where nothing of it was heard."""
        self._turns = [(at, message) for at, message in self._turns if at != turn or message.role != "assistant"]
        if text:
            after = next((index for index, (at, _) in enumerate(self._turns) if at > turn), len(self._turns))
            self._turns.insert(after, (turn, Message("assistant", text)))
        self._forget()

    def messages(self) -> list[Message]:
        """For a model: beginning with a user's, and the sides in turn. An answer of which nothing was heard is UNHEARD: without it the two
        messages around it would be one, and the first answered again.
        """
        joined: list[Message] = []
        for _, message in self._turns:
            if joined and joined[-1].role == message.role == "user":
                joined.append(Message("assistant", UNHEARD))
            if joined or message.role == "user":
                joined.append(message)
        return joined

    def view(self) -> list[dict[str, object]]:
        """For the user: turn, role and text of each message, as plain JSON values."""
        return [{"turn": turn, "role": message.role, "text": message.text} for turn, message in self._turns]

    def _forget(self) -> None:
        while len(self._turns) > 1 and (
            len(self._turns) > MAX_MESSAGES or sum(len(message.text) for _, message in self._turns) > MAX_CHARS
        ):
            del self._turns[0]
