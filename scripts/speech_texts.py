"""What the training voices say: sentences from our own templates and word lists, and pseudo-words that cover every sound.

All text here was written for this project. Sentences named in benchmarks/heldout.json are never produced (checked by `sentence`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HELD_OUT = json.loads((Path(__file__).parent.parent / "benchmarks/heldout.json").read_text(encoding="utf-8"))

_WHO = """the man|my sister|a small boy|the old captain|our neighbour|the baker|somebody|the whole family|a brave pilot|her uncle|the judge|
nobody|the women|every student|the plumber|a famous author|the mayor|your cousin|the shy girl|that farmer|a young nurse|the village people|Peter|
Emma|Bob|Victor|Fiona|Paul|Mary|Thomas|Julia|Hugh|Sophie|Ben|Philip|the pope|a mob|the chief|my wife|we|they|I|you""".replace("\n", "").split("|")
_DID = """bought|wanted|found|moved|painted|opened|saw|kept|lost|carried|broke|loved|made|pushed|pulled|hid|chose|followed|wrapped|shipped|
improved|described|measured|borrowed|finished|missed|ate|drew|fixed|washed|climbed|believed|forgot|threw|shook|heard|watched|left|grabbed|
stopped|bombed|summed up|warmed|beamed at|whipped|gave away|thought about|laughed about|went for""".replace("\n", "").split("|")
_WHAT = """a big red apple|the broken window|some fresh bread|five wooden chairs|the new map|a cup of tea|every single book|the yellow boat|
a piece of paper|that strange machine|the garden path|a thousand stars|the phone number|two pairs of shoes|the bottom shelf|a heavy bag|
the empty room|an old movie|the camp fire|a pink umbrella|the tiny kitten|a jumbo jet|our summer house|the math problem|a good job|the lamp|
a purple vest|both of the wheels|a rough stone|the long rope|some money|the loud music|a whole pie|all of the juice|a new view|the church bell|
six cheap watches|the biggest fish|an amazing picture|the hot soup|a warm blanket|the back door|more coffee|a bit of time|the wolf|the moon""".replace(
    "\n", ""
).split("|")
_HOW = """before the storm|in the morning|with great care|near the river|after lunch|for my mother|without a sound|on the way home|by the sea|
last September|behind the barn|at half past four|because of the rain|from a shop in town|as fast as possible|under the bridge|for a while|again and again|
at the top of the hill|between the houses|in the middle of March|above the clouds|with a smile|over the wall|in a hurry|all the time|
before breakfast|from the beginning|in five minutes|for the very first time|with both hands|every evening|on the map""".replace("\n", "").split("|")
_LEAD = """Well|However|In fact|As you may know|Of course|Believe me|Yesterday|Sometimes|Maybe|For example|By the way|Oh|Hmm|Now|So|
Ladies and gentlemen|To be honest|On the other hand|My friends|Perhaps|First of all|Above all|Finally|Good evening""".replace("\n", "").split("|")
_FREE = """I would like to thank you all for coming here today|what do you think we should do about it|this is the most important part of the problem|
there are many people who never give up|we have to move forward together|it was a beautiful day and the sun was shining|could you please help me with this|
the more you practise the better you become|that is not what I meant at all|how much does it cost|he has been working on it for months|
let me show you how simple it can be|nothing is impossible if you believe in it|the weather will be warm and bumpy on Monday|she sells them by the shop near the beach|
you know what I mean|my name is on the back of the album|we will see them soon|open your mouth and say ah|I am absolutely sure about that|
maybe tomorrow will be better|keep calm and carry on|put the lamp up above the table|bob and pam jumped over the pump|why would you move away|
the number of members keeps climbing|every problem becomes simple when people help|from time to time my brother phones me|we are happy to have you in our program|
the company published a report about public transport|imagine a world in which everybody is free|and that is why I want to vote for change|
the economy is improving but slowly|good teachers are worth more than gold|I was born in a small town by the mountains|how are you feeling this morning|
our approach combines speech and vision|remember to back up your computer|he promised to be home by half past eight|thank you very much for watching""".replace(
    "\n", ""
).split("|")
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve thirteen twenty thirty forty fifty sixty ninety hundred thousand million".split()

_ONSETS = "p b m f v w t d n s z l r k g h j ch sh th pl br fr sp sm tr st kr gl bl pr sw tw sl".split()
_VOWELS = "a e i o u ee oo ai ou oi au ie a o e i".split()
_CODAS = ["", "", "", "m", "p", "b", "n", "t", "s", "f", "l", "r", "k", "ng", "mp", "st", "v", "sh"]

_ALPHABETS = {
    "ru": ("б п м в ф т д н с з л р к г х ш ч ж ц", "а о у э ы и е я ю"),
    "uk": ("б п м в ф т д н с з л р к г х ш ч ж", "а о у е и і я ю"),
    "el": ("π μ β φ τ δ ν σ ζ λ ρ κ γ χ θ μπ", "α ε ι ο ου η ω αι"),
    "hi": ("प ब म भ फ व त द न स ल र क ग ह श च ज ट ड", "ा ि ी ु ू े ो ै ौ"),
    "ka": ("ბ პ მ ვ ფ თ დ ნ ს ზ ლ რ კ გ ხ შ ჩ", "ა ე ი ო უ"),
    "ar": ("ب م ف ت د ن س ل ر ك ح ش و ي", "ا ي و"),
}
_LETTERS = {
    "de": "ä ö ü ei eu au ie", "fr": "é è ou eu an on in u oi au", "es": "a e i o u ie ue", "pt": "ã õ é ê ó ei ão a u", "pl": "a e i o u y ą ę ó",
    "nl": "aa ee oo uu ui ij eu oe", "fi": "ä ö y aa ii uu e o ä", "da": "æ ø å a e i o u y", "tr": "ı ö ü a e i o u", "cs": "á é í ó ů ě a e o u",
    "ro": "ă â î a e i o u", "vi": "a ơ ư ê ô i u", "id": "a e i o u", "sw": "a e i o u", "ca": "a e i o u è ò", "cy": "a e i o u w y",
    "et": "ä ö õ ü a e i o u", "hr": "a e i o u", "is": "á é í ó ú æ ö a u", "eo": "a e i o u aŭ", "ms": "a e i o u",
    "sq": "a e ë i o u y", "af": "a e i o u oe aa ee", "eu": "a e i o u", "nb": "a e i o u y ø å", "sk": "a e i o u á é", "lt": "a e i o u ė ų",
}  # fmt: skip
"""Languages read with letter-to-sound rules, with vowels of their own spelling."""
LANGUAGES = tuple(sorted(set(_ALPHABETS) | set(_LETTERS)))
ENGLISH = ("en-us", "en", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-us-nyc")


VARIANTS = tuple(
    """f1 f2 f3 f4 m1 m2 m3 m4 m5 m6 m8 klatt klatt2 klatt3 klatt5 klatt6 Alex Alicia Andy Annie Denis Diogo Gene Hugo Jacky Lee Marco Michael
    Mike Nguyen adam anika antonio aunty belinda benjamin boris caleb david ed edward gustave iven john linda marcelo max michel miguel norbert
    pablo paul pedro quincy rob robert sandro shelby steph travis victor whisper croak grandma grandpa kaukovalta zac""".split()
)
"""espeak-ng's voice variants used for training (the robots are left out)."""
FLITE_VOICES = ("slt", "awb", "rms")


def _pick(rng: np.random.Generator, items: list[str]) -> str:
    return items[int(rng.integers(len(items)))]


def sentence(rng: np.random.Generator) -> str:
    """One or two English clauses, ending with a full stop or question mark."""

    def clause() -> str:
        kind = rng.random()
        if kind < 0.55:
            return f"{_pick(rng, _WHO)} {_pick(rng, _DID)} {_pick(rng, _WHAT)} {_pick(rng, _HOW) if rng.random() < 0.6 else ''}".strip()
        if kind < 0.8:
            return _pick(rng, _FREE)
        if kind < 0.88:
            return " ".join(_pick(rng, _NUMBERS) for _ in range(int(rng.integers(3, 7))))
        return pseudo("en-us", rng, words=int(rng.integers(3, 7)))

    text = clause()
    if rng.random() < 0.3:
        text = f"{_pick(rng, _LEAD)}, {text}"
    if rng.random() < 0.4:
        text += _pick(rng, [", and ", ", but ", ". ", "; ", " and "]) + clause()
    text += _pick(rng, [".", ".", "?", "!"])
    return sentence(rng) if any(held.rstrip(".?!").lower() in text.lower() for held in HELD_OUT["english_sentences"]) else text


def pseudo(language: str, rng: np.random.Generator, words: int = 8) -> str:
    """Pseudo-words in the spelling of `language`, every consonant as likely as the next."""
    out = []
    for _ in range(words):
        word = ""
        for _ in range(int(rng.integers(1, 4))):
            if language in _ALPHABETS:
                consonants, vowels = (s.split() for s in _ALPHABETS[language])
                word += _pick(rng, consonants) + _pick(rng, vowels)
                word += _pick(rng, consonants) if language not in ("hi", "ar") and rng.random() < 0.25 else ""
            else:
                vowels = _LETTERS[language].split() if language in _LETTERS else _VOWELS
                word += _pick(rng, _ONSETS) + _pick(rng, vowels) + _pick(rng, _CODAS)
        out.append(word + ("," if rng.random() < 0.12 else ""))
    return " ".join(out).rstrip(",") + "."
