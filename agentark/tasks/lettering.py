"""How texts speak of lettered options: the patterns behind `choosing`.

What a pattern is for stands beside it; which of them counts before which is decided in `choosing`.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from agentark.tasks.denial import DENYING, NOT, WRONG

NOUN_MARKER: Final = re.compile(
    r"\b(?:option|choice|alternative|letter)\b\s*(?:\([a-z ]{1,20}\)\s*)?"
    r"(?:(?:is|was|would\s+be|must\s+be|should\s+be|will\s+be)\b\s*:?|[:=])\s*",
    re.IGNORECASE,
)
FILLER: Final = re.compile(
    r"(?:\s|[*_`$\"'{:,“”‘’„«»<>]|\\[(\[]|\\begin\s*\{[a-z*]{1,12}\}|\\(?:text|mathrm|textbf|mathbf|boxed|fbox)\s*\{|"
    r"(?:the\s+)?(?:correct\s+|right\s+|best\s+)?(?:option|choice|letter|answer)\b(?:\s+is\b)?|"
    r"(?:therefore|clearly|definitely|for\s+sure|surely|certainly|of\s+course|exactly|only|obviously|indeed|"
    r"simply|most\s+likely|probably|likely|definitively|thus|then|to\s+choose|donc|la|le|el|die|der|das)\b|"
    r"(?:a\s+)?(?:letra|alternativa|opción|opção|opzione|réponse|lettre|Buchstabe|вариант(?:ом)?|является)\b|选项|"
    r"選項|選択肢|الخيار|विकल्प|是)*",
    re.IGNORECASE,
)
OTHER_NOUN_MARKER: Final = re.compile(
    r"(?:(?<![^\W\d_])(?:opción|opção|opzione|alternativa|letra|lettre|antwort|respuesta|resposta|risposta|"
    r"réponse|gabarito|"
    r"lösung|вариант(?:ом)?|ответ|відповідь|odpowiedź|cevap|chọn|đáp\s+án)|选项|選項|選択肢|正しいの|선택지|정답|الخيار|جواب|"
    r"विकल्प|उत्तर|ตอบ)"
    r"(?:\s+(?!(?:no|nicht|pas|не|non|não)\b)[^\W\d_]{2,14}){0,2}?\s*(?:est|es|ist|is|é|è|является|هو|هي|是|为|は|은|는|:|"
    r"：)?\s*(?=[^A-Za-z]{0,3}(?-i:[A-J])(?![A-Za-z])|(?:la|a|letra)\s)"
    r"|\boption(?:\s+[^\W\d_]{2,14})?\s+(?:est|ist)\s+|(?<![^\W\d_])richtig\s+ist\s+",
    re.IGNORECASE,
)
# "Verdict: C", "Most likely: C": a label with nothing but a letter behind.
LABELLED: Final = re.compile(
    r"^(?![^\w\n]{0,20}(?:Agent|Option|Peer)\b)[^\n:]{3,40}:\s*(?=\W*\(?[A-J]\)?[.*]*\s*$)", re.MULTILINE
)
# "The diagnosis is C. Aspirin", "The exception is C."
LISTED_AFTER: Final = re.compile(
    r"\b(?:is|are|be)\s*:?\s*(?=[*_(]*[A-J](?:\)\s*\**\s*[A-Z]|\.\s+(?:(?!\b(?:is|was|think|I|So|But|Now|However|"
    r"It|This|That|We|He|She|Because|Since)\b)[^.\n]){2,40}[.*]*\s*$))"
    r"|\b(?:statement|response|exception|one(?:\s+out)?|diagnosis|step|treatment|match|fit|choice\s+here|"
    r"pick)\s+(?:is|would\s+be)\s*:?\s*(?=[*_(]*[A-J][)*_]*[.!]?\s*$)",
    re.MULTILINE,
)
MARKS: Final = re.compile(r"^(?:#{1,6}\s|[-•>*]\s|\d{1,2}\.\s)\s*[*_]*")
# In a list of options "A:" is no label of an answer.
LABEL_OF_A: Final = re.compile(r"\W*A\W*", re.IGNORECASE)
LABEL_OF_B: Final = re.compile(r"^[^\w\n]{0,20}B[^\w\n]{0,5}:", re.MULTILINE)
LINE: Final = re.compile(
    r"^[^\w\n]{0,20}(?:option\s+|choice\s+)?\(?([A-J])(?![A-Za-z])[^\n]*$", re.MULTILINE | re.IGNORECASE
)
WRONG_MARK: Final = re.compile(rf"\b(?:{WRONG}|not\s+(?:right|correct|true|likely))\b|❌|✗|✘|✕", re.IGNORECASE)
RIGHT_MARK: Final = re.compile(r"\b(?:correct|right|true)\b|✅|✓|✔", re.IGNORECASE)
ARRIVES: Final = re.compile(
    r"\b(?:is|are|was|be|by|with|above|indicates|suggests|therefore|thus|so|"
    r"hence)\s+(?!not\b)(?:(?!not\b)\w+\s+){0,4}(?:\(|option\s+)([A-J])(?![A-Za-z])\)?(?!\W*\s(?:is|"
    r"was)\s+(?:wrong|incorrect|not))"
)
REFUSED: Final = re.compile(rf"(?:{NOT}|\bnever|\bcannot|\brefuse\s+to)\s*$", re.IGNORECASE)
NOT_THOUGHT: Final = re.compile(
    r"(?:n['’]t\s+(?:think|believe)|\bnot\s+(?:true|think|sure|believe|convinced)|\bdoubt|\bfalse\s+that|"
    r"\bwrong\s+to\s+say|\bnobody|\bno\s+one|\bif|\bunless|\bwhether)\b[^.;!?\n]{0,20}$",
    re.I,
)
OTHER_DENIED: Final = re.compile(
    r"\s*(?:不|ではない|[가이]\s*아니|n['’]est\s+pas|ist\s+(?:falsch|nicht)|no\s+es|错误|是错|都|не\s)"
)
BOTH: Final = re.compile(r"(?:both|either|neither|all|none)\b", re.IGNORECASE)
DENIED_AFTER: Final = (
    r"(?!\W{0,3}\s(?:(?:is|was|are|were|can|could|would|should|may|might|will|does|do|did|has|seems?|looks?|must|"
    r"as)\s*(?:n['’]t|not)\b|cannot\b|"
    r"(?:is|was|are|were|seems|looks|would\s+be|can\s+be|must\s+be|could\s+be|may\s+be|should\s+be|"
    r"as)\s+(?:(?!right|correct|best|the\b)\w+\s+){0,2}?"
    rf"(?:{WRONG}|not|never|excluded|eliminated|unlikely|ruled|rejected|implausible|impossible|out|"
    r"less|too|also)\b|"
    r"(?:has|have)\s+been\s+(?:excluded|eliminated|ruled)))"
)
DENIED_BEFORE: Final = re.compile(
    rf"(?:{DENYING}|\bexclud\w+|\beliminat\w+|\brul\w+\s+out|\breject\w*|\bdiscard\w*|\bdismiss\w*|"
    r"\bthan|\bwithout)\s+(?:the\s+)?(?:answer\s+|"
    r"option\s+|choice\s+|by\s+)?[*_($]*$",
    re.IGNORECASE,
)
RIGHT: Final = (
    r"(?:is|was|must\s+be|would\s+be|should\s+be|has\s+to\s+be|seems(?:\s+to\s+be)?|looks|appears(?:\s+to\s+be)?|"
    r"remains)\s+"
    r"(?:(?:clearly|therefore|thus|obviously|indeed|definitely|the\s+only|the|our|my|only|most|a)\s+)*"
    r"(?:(?:single|one|most|more|only)\s+)?(?:right|correct|best|true|likely|accurate|appropriate|suitable|"
    r"fitting|answer|choice|option\s+that\s+fits)\b"
    r"(?:\s+(?:answer|choice|option|fit|match|one)\b)?"
    r"|(?:fits|matches|answers|works|satisfies|holds)\b(?:\s+(?:best|the|all|well|perfectly|every|better)\b)?"
)
LEAD: Final = (
    r"\b(?:so|thus|hence|therefore|consequently|accordingly|finally|(?:no|rather|actually|instead)(?=,)|"
    r"i\s+(?:would\s+)?(?:choose|chose|pick|select|answer|say)|"
    r"i['’]d\s+(?:say|pick|choose)|i\s+maintain|stick(?:ing)?\s+with|stands?\s+by|left\s+with|by\s+elimination|"
    r"remains|corresponds?\s+to|"
    r"(?:this|that|it)\s+matches|but(?:\s+rather)?(?=\s+[*(]*[A-J][.\s*)]*$)|answer(?=\s+[A-J]\b)|"
    r"agree\s+with\s+\w+(?:\s+\d+)?(?=[:,])|"
    r"(?:we\s+)?(?:choose|chose|pick|select)|go(?:es|ing)?\s+(?:for|with)|it\s+is|it['’]s|that\s+is|that['’]s|"
    r"this\s+is|"
    r"it\s+(?:must|has\s+to|should|would|can\s+only)\s+be|this\s+(?:must|has\s+to)\s+be|leav(?:es|ing)|"
    r"settl\w+\s+on|point\w*\s+to|conclu\w+(?:\s+that)?)"
    r"(?:[,:\s]+(?:it\s+(?:must\s+be|has\s+to\s+be|is)|it['’]s|only|just|us\s+with|us|clearly|indeed|"
    r"the\s+answer\s+is)){0,3}"
)
# Behind a lead such as "so": what is told of the option is no choice of it.
TOLD_OF: Final = (
    r"(?!\s+(?:is|was|causes?|has|does|can|may|would|will|leads?|treats?|increases?)\b"
    r"(?!\s+(?:the|right|correct|best|clearly|indeed|therefore|most|more|true)\b))"
)
# What an option's letter may follow when it begins a clause.
BEFORE_OPTION: Final = re.compile(
    r"(?:^|[.,;:!?()\[\]\n\"'*_`-]|\b(?:so|thus|hence|therefore|that|because|since|and|but|while|though|only|"
    r"think|believe|say|"
    r"conclude|then|or|as|clearly|whereas|which\s+means|if|however|is|see))\s*[(*\[_]*$",
    re.IGNORECASE,
)
WRONG_AFTER: Final = re.compile(
    rf"\W{{0,4}}(?:(?:this|that|it)(?:\s+option)?(?:\s+is|['’]s)\s+)?(?:{WRONG}|no,?\s+that)\b",
    re.IGNORECASE,
)


class Letters(NamedTuple):
    """What may be chosen, compiled once for a set of letters."""

    letters: str
    alone: re.Pattern[str]
    listed: re.Pattern[str]
    another_listed: re.Pattern[str]
    wrapped: re.Pattern[str]
    bare: re.Pattern[str]
    small: re.Pattern[str]
    leading: re.Pattern[str]
    more: re.Pattern[str]
    bracketed: re.Pattern[str]
    verdict: re.Pattern[str]
    conclusion: re.Pattern[str]
    rather: re.Pattern[str]
    other_verdict: re.Pattern[str]


@lru_cache
def patterns_of(letters: str) -> Letters:
    """Compile the patterns for the letters that may be chosen, upper case."""
    # What may follow the letter when it is a choice and not the article "A" or the pronoun "I".
    word = (
        r"(?!\s+(?!(?:because|as|since|which|due|for|based|given|with|is|was|and|or|but|if|not|fits|matches|"
        r"remains|has|rather|"
        r"instead|non|nicht|pas|no|seems|ist|est|es|é|all|none|that|where|when|while|among|here|only|as|"
        r"corresponds|makes|must|cannot|can|must|would|should|works)\b)[a-z])"
    )
    verb = (
        r"(?!['’\s]+(?:am|m|have|ve|think|get|got|believe|would|will|ll|can|found|see|agree|know|choose|pick|say|"
        r"was|did|"
        r"do|don|cannot|didn|couldn|won|conclude|select|went|go|need|must|should)\b)"
    )
    letter = f"[{letters}]"
    any_case = f"[{letters}{letters.lower()}]"
    lone = rf"(?:(?!I){letter}{word}|(?=I)I{word}{verb})(?![A-Za-z0-9_+-]|['’][A-Za-z]|\.[A-Za-z0-9])"
    return Letters(
        letters=letters,
        alone=re.compile(rf"(?:option|choice|answer)?\s*[(\[]?\s*({letter})\s*[)\]]?", re.IGNORECASE),
        listed=re.compile(
            rf"(?i:option\s+|choice\s+)?(?:\(({letter})\)|({letter})(?:\s?[.):,]|\s[-–—]\s))\s*(?!{letter}\b)\S[^\n]*"
        ),
        another_listed=re.compile(rf"(?<!option)(?<!choice)\s\(?{letter}[).:](?:\s|$)"),
        wrapped=re.compile(rf"[(\[]\s*({any_case})\s*[)\]]"),
        bare=re.compile(rf"({lone})"),
        # In scripts that have no capitals nothing else begins so.
        leading=re.compile(rf"\s*\(?({letter})\)?\s*(?:[。，、]|(?=不))"),
        small=re.compile(rf"({letter.lower()})(?:[)'\"”’»>]|[.\s*_]*$|\.\s+[A-Z])"),
        more=re.compile(
            rf"\s*[)\]*_}}]*\s*(?:,\s*(?:and|or)?|/|&|;|\||\(or\b|(?=\s[A-J](?![A-Za-z'’]))|\band\b|\bor\b|\by\b|"
            rf"\bo\b|\bet\b|\bou\b|\bund\b|\boder\b|\bи\b|\bили\b|[或和與与]|또는|\bas\s+well\s+as\b)\s*(?:maybe\s+|"
            rf"perhaps\s+|"
            rf"possibly\s+)?(?i:option\s+|choice\s+)?\(?({letter})(?![A-Za-z0-9_'’])(?!\s+(?:is|was|are)\b)"
        ),
        bracketed=re.compile(rf"\(({letter})\)|\b(?i:option|choice|letter)\s+\(?({letter})(?![A-Za-z0-9_'’])"),
        verdict=re.compile(
            rf"(?P<before>\b(?i:option|choice|answer|alternative|"
            rf"statement)\s+)?[(\[*]{{0,3}}(?P<letter>{lone})[)\]*.:]*\s*"
            rf"(?:,\s*)?(?:\([^()\n]{{1,80}}\)\s*)?(?P<verdict>{RIGHT})(?!\s+(?:not|incorrect|wrong|neither)\b)",
        ),
        # What is concluded after an answer was named, and so stands in its place.
        rather=re.compile(
            rf"\b(?i:so|thus|hence|therefore|no|rather|instead|actually|mine\s+is|i\s+(?:now\s+)?(?:prefer|"
            rf"choose|pick|maintain)|(?:now\s+)?change\s+to|"
            rf"(?:but\s+)?it\s+is|(?:but\s+)?it['’]s)[,:]?\s+(?:option\s+)?[*(]*({letter})[*)]*[.!]?\s*$"
        ),
        other_verdict=re.compile(
            rf"(?<![A-Za-z])(?P<letter>{letter})(?![A-Za-z])\**\s*(?:ist\s+(?:die\s+)?richtig|"
            rf"est\s+(?:la\s+)?(?:bonne|correcte|juste)|"
            r"es\s+(?:la\s+)?(?:respuesta|opción|correct)|é\s+(?:a\s+)?(?:resposta|opção|alternativa|corret)|"
            r"[가이]\s*정답|是正确|正确|"
            r"が正し|が正解|सही|является\s+правильн|верн|правильн)"
        ),
        conclusion=re.compile(
            rf"(?P<lead>(?i:{LEAD})[,:\s]*(?i:the\s+)?(?i:(?:correct|best|right|only|final)\s+)*(?i:answer|"
            rf"option|choice|letter)?\s*"
            rf"(?i:(?:is|must\s+be|has\s+to\s+be)\s+)?)[*_$]*\(?(?P<letter>{lone})\)?(?![A-Za-z0-9_'’]){DENIED_AFTER}{TOLD_OF}"
        ),
    )
