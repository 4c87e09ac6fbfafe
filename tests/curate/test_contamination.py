"""Training questions that also stand in an evaluation set."""

from agentark.curate.contamination import EvaluationIndex

LONG = "Natalia sold clips to 48 of her friends in April and then she sold half as many clips in May."


def test_the_same_question_in_another_spelling_is_found() -> None:
    index = EvaluationIndex([LONG, "What is it?"])
    assert index.overlaps(
        "natalia sold CLIPS to 48 of her friends, in April; and then she sold half as many clips in May"
    )
    assert index.overlaps("What is it")
    assert not index.overlaps("What is that?")


def test_thirteen_words_in_a_row_are_too_many_and_twelve_are_not() -> None:
    index = EvaluationIndex([LONG])
    words = LONG.split()
    assert index.overlaps("Before: " + " ".join(words[2:15]) + " something else entirely happened here today.")
    assert not index.overlaps("Before: " + " ".join(words[2:14]) + " something else entirely happened here today.")


def test_a_short_question_counts_as_a_whole_in_both_directions() -> None:
    index = EvaluationIndex([LONG, "How many eggs has Ann?"])
    assert index.overlaps("She sold half as many clips in May")
    assert index.overlaps("Ben has 3 and Ann twice as many: how many eggs has Ann? Count them all one by one.")
    assert not index.overlaps("in May")  # too short to tell
    assert not index.overlaps("How many pens has Ann?")


def test_instructions_that_all_questions_share_do_not_count() -> None:
    instruction = "Choose one of the four options below and answer with its letter in a box please."
    index = EvaluationIndex([f"What treats disease number {i}? {instruction}" for i in range(50)])
    assert not index.overlaps(f"Which nerve runs here? {instruction}")
    assert index.overlaps(f"What treats disease number 7? {instruction}")


def test_no_evaluation_questions_contaminate_nothing() -> None:
    assert not EvaluationIndex([]).overlaps(LONG)
    assert not EvaluationIndex(["", "?!"]).overlaps("")
