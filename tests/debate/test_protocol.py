"""Who is asked what in which order, and who decides."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentark.api import Model, Protocol, Sampling, Teacher
from agentark.api.debaterun import Agent
from agentark.debate import DebateProtocol, Record, discuss, render_messages
from agentark.debate.protocol import request_seed
from agentark.errors import EngineError, InvalidInput
from agentark.llm.chat import Completion, Message
from agentark.llm.testing import ScriptedEngine
from agentark.planning.building import debate_protocol
from agentark.tasks import NUMBER, Question
from tests.debate.conftest import PROMPTS, Listener

Hold = Callable[..., Awaitable[Record]]


def cut(number: int) -> Completion:
    return Completion(f"Step 1: \\boxed{{{number}}}", "", "length", 50)


async def test_a_debate_in_full(hold: Hold) -> None:
    listener = Listener([[1, 2, 3], ["2 errs. Step 1: \\boxed{1}", 2, 3], [1, 1, 3]])
    record = await hold(listener)

    assert [(turn.round, turn.agent, turn.answer) for turn in record.turns] == [
        *((0, 0, "1"), (0, 1, "2"), (0, 2, "3")),
        *((1, 0, "1"), (1, 1, "2"), (1, 2, "3")),
        *((2, 0, "1"), (2, 1, "1"), (2, 2, "3")),
    ]
    assert (record.answer, record.decided_by, record.consensus, record.rounds) == ("1", "Majority", False, 3)
    assert record.solution == "Step 1: \\boxed{1}"
    assert record.calls == 1 + 3 + 3
    assert record.turns[3].critique == "2 errs."

    first, samples, _ = zip(*listener.sent[:3], strict=True)
    assert samples == (0, 1, 2), "round 0 of agents that are alike is one request with n samples"
    assert all(messages == [Message("user", "Solve What is {peers} + 1?")] for messages in first)
    third, _, _ = listener.sent[6]
    assert third == [
        Message("user", "Solve What is {peers} + 1?"),
        Message("assistant", "Step 1: \\boxed{1}"),
        Message("user", "Review:\nP1[Step 1: \\boxed{2}]\nP2[Step 1: \\boxed{3}]\nNow you."),
    ]


async def test_messages_are_rebuilt_from_the_record(hold: Hold) -> None:
    listener = Listener([[1, 2, ""], ["x Step 1: 4", 5, 6], [7, 8, 9], [8]])
    record = Record.model_validate_json((await hold(listener, roles=["", "Doubt.", ""])).model_dump_json())
    # With a role of its own, agent 1 is a request of its own in round 0, sent after that of agents 0 and 2.
    order = [0, 2, 1, *range(3, 10)]
    for position, (messages, _, seed) in zip(order, listener.sent, strict=True):
        turn = record.turns[position]
        assert render_messages(record, turn, PROMPTS) == messages
        assert turn.seed == seed
    assert record.turns[-1].role == "summariser"


async def test_consensus_stops_early_by_the_grader_not_by_spelling(hold: Hold) -> None:
    record = await hold(Listener([["\\boxed{7}", "\\boxed{7.0}", "The answer is \\boxed{\\$7}"]]))
    assert (record.answer, record.decided_by, record.consensus, record.calls) == ("7", "Consensus", True, 1)


async def test_consensus_need_not_stop(hold: Hold) -> None:
    record = await hold(Listener([[7, 7, 7], [7, 7, 7]]), stop_on_consensus=False, rounds=2)
    assert (record.rounds, record.decided_by) == (2, "Consensus")


@pytest.mark.parametrize("silent", [cut(7), "I do not know"])
async def test_no_consensus_without_every_agents_answer(hold: Hold, silent: Completion | str) -> None:
    record = await hold(Listener([[7, silent, 7], [7, 7, 7]]))
    assert record.rounds == 2


async def test_truncated_turns_never_decide(hold: Hold) -> None:
    record = await hold(Listener([[cut(9), cut(9), 4]]), rounds=1)
    assert (record.answer, record.decided_by) == ("4", "Majority")
    assert [turn.truncated for turn in record.turns] == [True, True, False]
    nobody = await hold(Listener([[cut(9), cut(9), "unsure"]]), rounds=1)
    assert (nobody.answer, nobody.solution, nobody.decided_by, nobody.calls) == ("", "", "None", 1)


async def test_a_tie_goes_to_the_summariser(hold: Hold) -> None:
    listener = Listener([[1, 2, 3], [2]])
    record = await hold(listener, rounds=1)
    assert (record.answer, record.decided_by, record.calls) == ("2", "Summariser", 2)
    assert record.turns[-1].agent == 3
    assert listener.sent[-1][0][-1].content == (
        "Sum up What is {peers} + 1?:\nP1[Step 1: \\boxed{1}]\nP2[Step 1: \\boxed{2}]\nP3[Step 1: \\boxed{3}]"
    )


@pytest.mark.parametrize("useless", [cut(2), "no idea"])
async def test_a_summariser_without_an_answer_leaves_it_to_the_first(hold: Hold, useless: Completion | str) -> None:
    record = await hold(Listener([[1, 2, 3], [useless]]), rounds=1)
    assert (record.answer, record.decided_by) == ("1", "Majority")


async def test_a_tie_goes_to_the_first_where_asked(hold: Hold) -> None:
    record = await hold(Listener([["?", 2, 1]]), rounds=1, tie="First")
    assert (record.answer, record.decided_by, record.calls) == ("2", "Majority", 1)


async def test_self_consistency_is_one_request_and_a_vote(hold: Hold) -> None:
    listener = Listener([[1, 2, 2, 1]])
    record = await hold(listener, type="SelfConsistency", agents=4)
    assert (record.answer, record.decided_by, record.calls, record.rounds) == ("1", "Majority", 1, 1)


async def test_single_pass_is_one_sample(hold: Hold) -> None:
    record = await hold(Listener([[6]]), type="SinglePass", agents=1)
    assert (record.answer, record.decided_by, record.calls, len(record.turns)) == ("6", "Single", 1, 1)
    unanswered = await hold(Listener([[cut(6)]]), type="SinglePass", agents=1)
    assert (unanswered.answer, unanswered.decided_by) == ("", "None")


async def test_a_single_pass_asks_once_though_a_debate_has_five_agents(question: Question) -> None:
    protocol = DebateProtocol(type="SinglePass", prompts=PROMPTS)
    record = await discuss(question, protocol=protocol, engines=[ScriptedEngine(Listener([[6]]))], policy=NUMBER)
    assert (record.calls, record.agents, len(record.turns)) == (1, 1, 1)


async def test_the_control_shows_the_own_solution_as_every_peers(hold: Hold) -> None:
    listener = Listener([[1, 2, 3], [1, 1, 1]])
    record = await hold(listener, peers="Own")
    for agent, (messages, _, _) in enumerate(listener.sent[3:]):
        own = f"Step 1: \\boxed{{{agent + 1}}}"
        assert messages[1].content == own
        assert messages[2].content == f"Review:\nP1[{own}]\nP2[{own}]\nNow you."
    assert render_messages(record, record.turns[3], PROMPTS) == listener.sent[3][0]


async def test_roles_and_engines_per_agent(hold: Hold) -> None:
    listeners = Listener([[1, 1], [1, 1]]), Listener([[2], [1]])
    engines = [ScriptedEngine(listeners[0], model="big"), ScriptedEngine(listeners[1], model="small")]
    record = await hold(engines, roles=["Be exact.", "", "Be exact."], engines=[0, 1, 0])
    assert [turn.model for turn in record.turns[:3]] == ["big", "small", "big"]
    assert [turn.samples for turn in record.turns[:3]] == [2, 1, 2]
    assert record.roles == ("Be exact.", "", "Be exact.")
    assert listeners[0].sent[0][0][0] == Message("system", "Be exact.")
    assert listeners[1].sent[0][0][0].role == "user"
    assert record.calls == 2 + 3


async def test_costs_are_counted_once(hold: Hold) -> None:
    record = await hold(Listener([[1, 1, 1]]))
    words = len(["Solve", "What", "is", "{peers}", "+", "1?"])
    assert [turn.prompt_tokens for turn in record.turns] == [words, 0, 0]
    assert (record.prompt_tokens, record.completion_tokens) == (words, 3 * len(["Step", "1:", "\\boxed{1}"]))


async def test_reasoning_is_kept_but_not_shown(hold: Hold) -> None:
    thinking = Completion("Step 1: \\boxed{1}", "secret thought", "stop", 9)
    listener = Listener([[thinking, 2, 2], [2, 2, 2]])
    record = await hold(listener)
    assert record.turns[0].reasoning == "secret thought"
    assert all("secret" not in message.content for messages, _, _ in listener.sent for message in messages)


async def test_a_failed_request_waits_for_its_siblings(hold: Hold) -> None:
    engine = ScriptedEngine(Listener([[1, 2, 3], [4, EngineError("gone"), 6]]))
    with pytest.raises(EngineError, match="gone"):
        await hold([engine])
    assert (engine.calls, engine.failures, engine.in_flight) == (3, 1, 0)


async def test_text_that_is_no_unicode_is_mended(hold: Hold) -> None:
    record = await hold(Listener([["\ud800 \ud83d\ude00 \\boxed{1}", 1, 1]]))
    assert record.turns[0].text == "\ufffd \U0001f600 \\boxed{1}"
    assert Record.model_validate_json(record.model_dump_json()) == record


async def test_the_symbolic_checker_votes(question: Question) -> None:
    from agentark.tasks import MATH

    replies = Listener([["\\boxed{x^2+2x+1}", "\\boxed{(x+1)^2}"]])
    protocol = DebateProtocol(agents=2, prompts=PROMPTS)
    record = await discuss(question, protocol=protocol, engines=[ScriptedEngine(replies)], policy=MATH)
    assert record.consensus


def test_seeds_differ_and_stay() -> None:
    seeds = {request_seed(s, q, r, a) for s in (0, 1) for q in ("a", "b") for r in (0, 1) for a in (0, 1)}
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert request_seed(1, "q", 2, 3) == 7124570885058562799


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"agents": 0}, "agents: found 0; input should be greater than or equal to 1"),
        ({"rounds": 0}, "rounds: found 0; input should be greater than or equal to 1"),
        ({"agents": 2, "roles": ["a"]}, "roles has 1 entries for 2 agents; give one each, or none"),
        ({"agents": 2, "engines": [0]}, "engines has 1 entries for 2 agents; give one each, or none"),
        ({"agents": 1, "engines": [-1]}, r"engines\[0\]: found -1"),
        ({"type": "SinglePass", "agents": 5}, "a SinglePass has one agent"),
        ({"agents": 1, "team": [{"role": "Doubt."}]}, "team: .* at most 0 items"),
        ({"newer": 1}, "newer: unknown field"),
    ],
)
def test_bad_protocols_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        DebateProtocol(**settings)


async def test_an_engine_that_is_not_there(hold: Hold) -> None:
    with pytest.raises(InvalidInput, match="names engine 1, but only 1 are given"):
        await hold(Listener([[1]]), agents=1, engines=[1])


async def test_sampling_that_keeps_no_token_is_refused_before_anything_is_asked(hold: Hold) -> None:
    with pytest.raises(InvalidInput, match=r"sampling.top_p is 0.0; accepted: more than 0"):
        await hold(Listener([]), sampling=Sampling(top_p=0))


def test_every_setting_of_a_manifest_reaches_the_debate() -> None:
    manifest = Protocol(
        agents=2,
        rounds=2,
        stop_on_consensus=False,
        tie="First",
        sampling=Sampling(temperature=0.25, top_p=0.5, top_k=3, max_tokens=9),
        prompts=PROMPTS,
        team=[Agent(role="Doubt."), Agent(teacher=Teacher(model=Model(uri="file:other")))],
        seed=8,
    )
    params, _ = debate_protocol(manifest, Teacher(model=Model(uri="file:one")))
    protocol = DebateProtocol(**json.loads(json.dumps(params)))
    assert dict(protocol) == dict(manifest) | {
        "team": [],
        "peers": "Others",
        "roles": ["Doubt.", ""],
        "engines": [0, 1],
    }
