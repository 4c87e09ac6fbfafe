"""What a model's reply shows to its reader: no hidden thinking, no tokens of the chat format, no emphasis.

Mathematics is left as written. Every step is linear in the length of the text, and costs nothing where the text has no
trace of what the step removes.
"""

import re
from typing import Final

MAX_TEXT: Final = 200_000
"""Characters that are looked at, counted from the end: a final answer stands there."""

_THINKING_ENDS: Final = (
    "</think>", "</thinking>", "</thought>", "</reasoning>", "</scratchpad>", "<|channel|>final<|message|>",
)  # fmt: skip
_THINKING_BEGINS: Final = (
    "<think>", "<thinking>", "<thought>", "<reasoning>", "<scratchpad>", "<|channel|>analysis<|message|>",
)  # fmt: skip
_THINKING: Final = re.compile(r"</?(?:think|thought|reasoning|scratchpad)|<\|channel")
# Whoever speaks after the end of a turn is not the model that was asked.
_TURN_END: Final = re.compile(
    r"<[|｜](?:im_end|eot_id|eom_id|endoftext|end_of_text|end_of_turn|end_of_sentence|end▁of▁sentence|end|return|"
    r"eos)[|｜]>"
    r"|</s>|<eos>|<end_of_turn>|<EOT>",
    re.IGNORECASE,
)
_FORMAT_SIGNS: Final = ("<|", "<｜", "</s>", "<s>", "<eos>", "<bos>", "<end_of", "<start_of", "<EOT>", "INST]")
_FORMAT_TOKEN: Final = re.compile(
    r"<[|｜](?:im_start|start_header_id|begin_of_text|start|assistant)[|｜]>(?:assistant\b(?:<\|end_header_id\|>)?)?"
    r"|<[|｜][A-Za-z_▁]{1,30}[|｜]>|<s>|<bos>|<start_of_turn>(?:model\b)?|\[/?INST\]"
)
_MANY_LINES: Final = re.compile(r"\n[ \t]{0,8}\n[ \t]{0,8}\n")
_BLANKS: Final = re.compile(r"[ \t]{4,}")
_LINES: Final = re.compile(r"\n[ \t]*\n\s*\n")
_CALCULATOR: Final = re.compile(r"<<[^<>\n]{0,200}>>")
_TAG: Final = re.compile(
    r"</?(?:b|strong|i|em|u|code|mark|span|p|div|big|small|center|font)(?:\s[^<>\n]{0,100})?>", re.I
)
_LINE_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_RAISED: Final = re.compile(r"<sup>([^<>\n]{1,20})</sup>", re.IGNORECASE)
_LOWERED: Final = re.compile(r"<sub>([^<>\n]{1,20})</sub>", re.IGNORECASE)
# The marks of emphasis touch what they embrace, and no number or name outside touches them: 2**3 and x_1 stay.
_STARS: Final = re.compile(r"(?<![A-Za-z0-9*\\)\]}])(\*{1,3})(?=[^\s*])([^*\n]{1,300}?)(?<=\S)\1(?![A-Za-z0-9*(])")
_BARS: Final = re.compile(r"(?<![A-Za-z0-9_\\)\]}^])(_{1,2})(?=[^\s_{])([^_\n]{1,300}?)(?<=\S)\1(?![A-Za-z0-9_{])")
_FENCE: Final = re.compile(r"^[ \t]*```[A-Za-z]*[ \t]*$\n?", re.MULTILINE)
_STYLE: Final = re.compile(r"\\(?:textbf|textit|emph|underline|texttt|textsf)\s*\{([^{}\n]{0,300})\}")
_WIDE: Final = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys((0x200B, 0x2060, 0xFEFF), None),
    ord("\u3000"): " ",
    ord("、"): ", ",
    ord("٫"): ".",
    ord("٬"): ",",
}


def visible(text: str) -> str:
    """Reduce a reply to what its reader sees.

    Args:
        text: The whole reply. A thinking block is skipped, an unclosed one hides all that follows.

    Returns:
        At most `MAX_TEXT` characters: line ends are newlines, full-width signs are ASCII, emphasis marks, HTML of
        emphasis and calculator annotations (`<<3+4=7>>`) are gone, and so is what follows an end-of-turn token.
    """
    text = _turn(_without_thinking(text)[-MAX_TEXT:])
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = text.translate(_WIDE)
    if "    " in text or "\t" in text or _MANY_LINES.search(text):
        # Long runs of blanks say nothing, and make patterns that look for blanks slow.
        text = _BLANKS.sub("   ", _LINES.sub("\n\n", text))
    if "<" in text:
        text = _without_tags(text)
    if "`" in text:
        text = _FENCE.sub("", text).replace("`", "")
    return without_emphasis(text)


def without_emphasis(text: str) -> str:
    r"""Take away the marks of emphasis around words: `**42**`, `*42*`, `__B__`, `\textbf{B}`."""
    if "*" in text:
        text, count = _STARS.subn(r"\2", text)
        if count:
            # Bold within italics.
            text = _STARS.sub(r"\2", text)
    if "_" in text:
        text = _BARS.sub(r"\2", text)
    if "\\" in text:
        text = _STYLE.sub(r"\1", text)
    return text


def _without_thinking(text: str) -> str:
    if "<" not in text or _THINKING.search(text) is None:
        return text
    for end in _THINKING_ENDS:
        # Templates that open the block in the prompt leave only its end in the reply.
        if end in text:
            text = text.rpartition(end)[2]
    for begin in _THINKING_BEGINS:
        text = text.partition(begin)[0]
    return text


def _turn(text: str) -> str:
    for sign in _FORMAT_SIGNS:  # a loop, as `any` of a generator costs more than the search
        if sign in text:
            break
    else:
        return text
    begin = 0
    for end in _TURN_END.finditer(text):
        if _FORMAT_TOKEN.sub("", text[begin : end.start()]).strip():
            text = text[: end.start()]
            break
        begin = end.end()
    return _FORMAT_TOKEN.sub(" ", _TURN_END.sub(" ", text))


def _without_tags(text: str) -> str:
    text = _CALCULATOR.sub("", text)
    if "</" in text:
        text = _LOWERED.sub(r"_{\1}", _RAISED.sub(r"^{\1}", _TAG.sub("", text)))
    return _LINE_BREAK.sub("\n", text)
