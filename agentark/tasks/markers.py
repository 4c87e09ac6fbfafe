r"""Where a text says its answer: `<answer>`, "the answer is", "Answer:" and the same in other languages.

A marker is only a place; whether an answer follows it is for the reader of what follows.
"""

import json
import re
from typing import Final

# Language: nouns for "answer", what may stand between noun and answer. Nouns alone count before a colon or an "=".
_LANGUAGES: Final[dict[str, tuple[str, str]]] = {
    "German": (r"Antwort|Ergebnis", r"lautet|ist|beträgt|wäre"),
    "French": (r"réponse(?:\s+finale)?|résultat", r"est|serait"),
    "Spanish": (r"respuesta|resultado", r"es|sería"),
    "Portuguese": (r"resposta|resultado", r"é|seria"),
    "Italian": (r"risposta|risultato", r"è|sarebbe"),
    "Dutch": (r"antwoord", r"is|luidt"),
    "Polish": (r"odpowiedź|odpowiedzią|wynik", r"to|jest|brzmi|wynosi"),
    "Czech": (r"odpověď", r"je|zní"),
    "Romanian": (r"răspunsul|răspuns", r"este|e"),
    "Hungarian": (r"válasz", r"az|a"),
    "Swedish": (r"svaret|svar", r"är|er"),
    "Finnish": (r"vastaus", r"on"),
    "Turkish": (r"cevap|yanıt|sonuç", r"şudur"),
    "Indonesian": (r"jawaban(?:nya)?", r"adalah|ialah"),
    "Vietnamese": (r"đáp\s+án|câu\s+trả\s+lời|đáp\s+số", r"là"),
    "Greek": (r"απάντηση", r"είναι"),
    "Russian": (r"ответ(?:ом)?", r"равен|это|будет|есть|является|[-–—]"),
    "Ukrainian": (r"відповідь", r"це|дорівнює|[-–—]"),
    "Arabic": (r"الإجابة|الجواب|إجابة|جواب", r"هي|هو"),
    "Hebrew": (r"התשובה|תשובה", r"היא|הוא"),
    "Hindi": (r"उत्तर|जवाब", r"है"),
    "Bengali": (r"উত্তর", r"হল|হলো"),
    "Thai": (r"คำตอบ(?:ที่ถูกต้อง)?", r"คือ"),
    "Chinese": (
        r"(?:最终|最終|正确|正確|所以)?答案|正确选项|正確選項|答(?=\s*[:：])|(?<!不)故?选择?(?=\s*:?\s*[(（]?[A-J])|選擇?(?=\s*:?\s*[(（]?[A-J])",
        r"是|为|為|应为|應為|等于|就是|应该是|選|选择|选",
    ),
    "Japanese": (r"(?:最終的な|正しい)?(?:答え|回答|解答|正解)", r"は"),
    "Korean": (r"정답|최종\s*답|답(?=\s*[:은])", r"은|는"),
}
_OTHER: Final = "|".join(
    rf"(?<![^\W\d_])(?:{nouns})(?:\s+(?!(?:no|nicht|pas|не|non|"
    rf"não)\b)[^\W\d_]{{2,12}}){{0,2}}?\s*(?:(?:{copulas})(?![A-Za-z])\s*[:=]?|[:=])"
    if language not in ("Chinese", "Japanese", "Korean", "Thai")
    else rf"(?:{nouns})\s*(?:(?:{copulas})\s*[:=]?|[:=]|(?=[A-J](?![A-Za-z])))"
    for language, (nouns, copulas) in _LANGUAGES.items()
)
_COPULA: Final = (
    r"(?:is|was|be|becomes|equals|reads)\b(?:\s+(?:equal\s+to|therefore|thus|then|simply|just|clearly|indeed|"
    r"actually|now|"
    r"still|also|hence|definitely))*|"
    r"(?:would|should|must|will|has\s+to|ought\s+to|can\s+only|could\s+only|may|might)\s+(?:then\s+|therefore\s+)?be\b|"
    r"comes?\s+out\s+(?:to\s+be|to|as|at)\b|turns?\s+out\s+to\s+be\b|works\s+out\s+to\b"
)
_ENGLISH: Final = (
    r"\banswers?\b\s*(?:\((?:[A-Za-z ]{1,30})\)\s*)?"
    r"(?:(?:to|of|for)\s+(?:the|this|that|our)\s+(?:\w+\s+){0,2}?(?:question|problem|exercise|task|puzzle|part)\s*)?"
    r"(?:,\s*(?:therefore|then|thus|hence|so),?\s*)?"
    rf"(?:(?:{_COPULA})\s*:?|[:=]|→|⇒|->|=>|[-–—](?=\s)|(?=\s(?:\$|\\\[|\\\()))"
    r"[ \t]*(?:that\s+)?"
)
_LABEL_A: Final = re.compile(r"^[ \t>*_#-]*A[*_]*[ \t]*:[*_ \t]*", re.MULTILINE | re.IGNORECASE)
# The same on a later line; a pattern that begins with a letter of its own is found quicker.
_LABEL_A_BELOW: Final = re.compile(r"\n[ \t>*_#-]*[Aa][*_]*[ \t]*:[*_ \t]*")
ANSWER: Final = re.compile(
    rf"{_LABEL_A.pattern}"
    r"|^[ \t>*_#-]*(?:the\s+)?(?:final|correct|right|my|our)?[ \t]*answer[ \t*_]*$\n"
    rf"|{_ENGLISH}|\bans(?:\s*[:=-]|\.\s*(?:[:=]|is\b)?|\s+is\b|\s+(?=\(?[a-j]\)?\s*$))\s*",
    re.MULTILINE | re.IGNORECASE,
)
"""English. The end of a match is where the answer may begin."""
ANSWER_ANYWHERE: Final = re.compile(rf"{ANSWER.pattern}|{_OTHER}", re.MULTILINE | re.IGNORECASE)
"""And the languages of the table; slower, for texts that are not ASCII alone or have no English marker."""
MAX_MARKERS: Final = 64
"""A text that says more often what its answer is goes round in circles."""
MAX_OTHER: Final = 20_000
"""Characters at the end of a text that are searched for the table's markers."""
_TAGGED: Final = re.compile(r"<answer>((?:(?!</?answer>)[\s\S]){1,4000})(?:</answer>|\Z)", re.IGNORECASE)
_COMMAND: Final = re.compile(r"(?<!\\)\\[a-z]{2}")
_JSON_VALUE: Final = r"\"\s*:\s*(\"(?:[^\"\\\n]|\\.){1,2000}\"|-?[\d.]{1,40}(?:[eE][-+]?\d{1,3})?|true|false)"
_JSON_ANSWER: Final = re.compile(
    r"\"(?:final[_ ]?answer|answer(?:[_ ](?:choice|letter|index))?)" + _JSON_VALUE, re.IGNORECASE
)
_JSON_RESULT: Final = re.compile(r"\"(?:choice|result|solution)" + _JSON_VALUE, re.IGNORECASE)
_RESTATED: Final = re.compile(
    r"\W*(?:(?:it|that|this|the\s+\w+)(?:['’]s|\s+is|\s+should\s+be|\s+must\s+be)\s+(?!wrong|right|correct|"
    r"incorrect|because|not)\S{1,12}[.!]?\s*$"
    r"|\(?[A-J]\)?[.!]?\s*$)",
    re.IGNORECASE,
)
HASHES: Final = re.compile(r"####[ \t]*([^\n]*)")
NEXT_QUESTION: Final = re.compile(
    r"^[ \t]*(?:Question|Problem|Q|Exercise|User|Human|Assistant)(?:[ \t]+\d+)?[ \t]*:", re.MULTILINE
)
"""Base models go on with a question of their own."""
_SPEAKERS: Final = ("Question", "Problem", "Q:", "Q ", "Exercise", "User", "Human", "Assistant")
DENIAL: Final = re.compile(
    r"(?:no(?!\.\s*\d)|not|never|neither|nope)\b|n['’]t\b|(?:wrong|incorrect|false|unclear|unknown|"
    r"impossible\s+to\s+tell)\b",
    re.IGNORECASE,
)
REDONE: Final = re.compile(
    r"[\s.…!]{0,6}(?:wait|hmm+|oops|hold\s+on|no)\b[^.!?\n]{0,40}\b(?:mistake|wrong|can['’]t\s+be|cannot\s+be|"
    r"not\s+right|contradicts?|redo|recompute|error)",
    re.IGNORECASE,
)
"""Right behind a statement: the work is done again."""
TAKEN_BACK: Final = re.compile(
    r"[\s.,;:!?)\"'-]{0,6}(?:but\s+|however,?\s+|no,?\s+|wait,?\s+|hmm,?\s+|actually,?\s+)*"
    r"(?:that|this|it|which|he|she|they|agent\s+\d+)(?:['’]s|\s+(?:is|was|are|seems|looks|must\s+be|cannot\s+be|"
    r"can['’]t\s+be))\s*"
    r"(?:(?:clearly|obviously|actually|definitely|also|simply|just)\s+)*"
    r"(?:(?:wrong|incorrect|false|mistaken|a\s+mistake|an\s+error)\b(?!\s+to\b)|not\s+(?:right|correct|true|"
    r"the\s+answer)\b)",
    re.IGNORECASE,
)
"""Right behind a statement: it does not stand."""
SECOND_THOUGHT: Final = re.compile(
    r"(?<![A-Za-z])(?:wait|hold\s+on|oops|scratch\s+that|correction|on\s+second\s+thought|actually|"
    r"sorry)\b[\s,.:!;…—–-]+(?:no\b[\s,.:!;—–-]*)?",
    re.IGNORECASE,
)
"""What was said before it does not stand if an answer follows."""
_SECOND_THOUGHT_WORDS: Final = ("wait", "hold", "oops", "scratch", "correction", "second", "actually", "sorry")
"""One of them is in each: looking for them is quicker."""
ATTRIBUTED: Final = re.compile(
    r"(?:\b(?:agent|peer|model)\s*\d*(?:['’]s)?|\b(?:some|others?|they|he|she|people)\b)\s*(?:\w+\s+){0,2}?"
    r"(?:(?:says?|said|claims?|claimed|thinks?|thought|believes?|argues?|chose|chooses|gets?|got|answered|that|"
    r"final|the)\s+){0,3}$"
    r"|\b(?:previously|initially|first|earlier|my\s+(?:first|former|earlier|previous))\s+(?:\w+\s+){0,3}$|"
    r"\bif\b[^.!?\n]{0,60}\bignor\w+[^.!?\n]{0,40}$",
    re.IGNORECASE,
)
"""In front of a marker: somebody else's answer, a former one, or one under a condition."""
DOUBTED: Final = re.compile(
    r"(?:\bdoubt|n['’]t\s+(?:think|believe)|\bnot\s+(?:think|sure|believe|convinced)|\bwhether|\bunless|"
    r"\bnot\s+true|\bfalse\s+that|\bnobody|\bno\s+one|\btempting\s+to|\brefuse)\b[^.!?\n]{0,30}$",
    re.IGNORECASE,
)
"""In front of a marker: the answer is not claimed."""
OBJECTION: Final = re.compile(
    r"\b(?:disagree|wrong|incorrect|mistaken?|misread|overlook\w*|however|but\s+i\b|i\s+(?:get|got|find|found|"
    r"maintain|think)|my\s+(?:own\s+)?answer|mine|now\s+(?:choose|change)|instead|but\s+(?:now|it|i|the)\b|"
    r"(?<=[.!;]\s)(?:it\s+is|it['’]s|now)\b)\b",
    re.IGNORECASE,
)
"""After somebody else's answer: it is not taken over."""
_CONDITION: Final = re.compile(r"\b(?:if|were|had)\b", re.IGNORECASE)
MAX_OBJECTION: Final = 200
"""Characters behind a marker in which an objection stands."""
WITHDRAWN: Final = re.compile(
    r"\((?:wrong|incorrect|false)\)|\b(?:but|which|and|though|yet)\s+(?:(?:that|this|it|he|she|"
    r"they)\s*)?(?:['’]s|is|was|are|seems|must\s+be)\s+(?:\w+\s+)?"
    r"(?:wrong|incorrect|false|mistaken|not\s+(?:right|correct|true))\b",
    re.IGNORECASE,
)
"""Within a statement: it does not stand."""


def answer_markers(text: str) -> list[re.Match[str]]:
    """Find the places where an answer may be stated, in order: the last `MAX_MARKERS` of them."""
    if "ans" in text.casefold():
        matches = list(ANSWER.finditer(text))
    else:
        first = _LABEL_A.match(text)
        matches = [*([first] if first else []), *_LABEL_A_BELOW.finditer(text)]
    if not matches or not text.isascii():
        matches = list(ANSWER_ANYWHERE.finditer(text, max(0, len(text) - MAX_OTHER)))
    return matches[-MAX_MARKERS:]


def tagged_answers(text: str) -> list[str]:
    """Find what stands in `<answer>` tags, or in the field `answer` of a JSON object, in order."""
    tagged = _TAGGED.findall(text) if "<answer>" in text.casefold() else []
    if not tagged and "{" in text:
        values = _JSON_ANSWER.findall(text) or _JSON_RESULT.findall(text)
        tagged = [_json_text(value) for value in values]
    return tagged


def _json_text(value: str) -> str:
    if _COMMAND.search(value):
        # LaTeX that nobody escaped: \\f would be a form feed.
        return value.strip('"')
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value.strip('"')


def is_claimed(text: str, marker: re.Match[str]) -> bool:
    """Whether the writer claims what a marker announces: not if it is doubted, or of others and objected to."""
    line = text.rfind("\n", 0, marker.start()) + 1
    before = text[max(line, marker.start() - 100) : marker.start()]
    if not before.strip(" \t>*_#-"):
        return True
    after = text[marker.end() : marker.end() + 80].partition(".")[0]
    if "would" in marker[0] and _CONDITION.search(f"{before}\n{after}"):
        return False
    return not (
        DOUBTED.search(before)
        or (ATTRIBUTED.search(before) and OBJECTION.search(text, marker.end(), marker.end() + MAX_OBJECTION))
    )


def last_thought(text: str) -> str:
    """Cut a text down to what follows its last second thought, where that says an answer."""
    lowered = text.casefold()
    for word in _SECOND_THOUGHT_WORDS:
        if word in lowered:
            break
    else:
        return text
    thoughts = list(SECOND_THOUGHT.finditer(text))[-MAX_MARKERS:]
    for thought in reversed(thoughts):
        rest = text[thought.end() :]
        if "\\boxed" in rest or ANSWER.search(rest) or _RESTATED.match(rest):
            return rest
    return text


def one_reply(text: str) -> str:
    """Cut off the next question that a base model asks itself after its answer."""
    for word in _SPEAKERS:
        if word in text:
            break
    else:
        return text
    if NEXT_QUESTION.search(text) is None:
        return text
    marker = ANSWER.search(text)
    places = [marker.end() if marker else -1, text.find("\\boxed"), text.find("####")]
    first = min((place for place in places if place >= 0), default=None)
    question = NEXT_QUESTION.search(text, first) if first is not None else None
    return text[: question.start()] if question else text
