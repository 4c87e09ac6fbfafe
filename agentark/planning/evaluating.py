"""The stages of an evaluation: one per subject and suite, and the comparison."""

from typing import Any

from agentark.api import DebateSpec, DistillJobSpec, Suite, Teacher
from agentark.planning.building import Builder, debate_protocol, most_calls
from agentark.planning.stage import Stage


def evaluations(
    builder: Builder,
    spec: DistillJobSpec,
    debate_spec: DebateSpec,
    suite: Suite,
    base: Teacher,
    students: dict[str, Stage],
) -> dict[str, Stage]:
    """Subject -> stage, the base first, in the order of the table."""
    discussing, teachers = debate_protocol(debate_spec.protocol, debate_spec.teacher)
    common = {"prompts": discussing["prompts"], "seed": spec.evaluation.seed}
    greedy = {"type": "SinglePass", "agents": 1, "rounds": 1, **common}
    greedy["sampling"] = discussing["sampling"] | {"temperature": "0"}
    sampled = greedy | {"sampling": discussing["sampling"]}
    controls = set(spec.evaluation.controls)
    found: dict[str, Stage] = {}

    def answer(subject: str, **arguments: Any) -> None:
        found[subject] = builder.answering(
            "evaluate",
            f"evaluate/{suite.name}/{subject}",
            dataset=suite.dataset,
            execution=arguments.pop("execution", spec.execution),
            **arguments,
        )

    single = {"Greedy": ("", greedy), "Sampled": ("-sampled", sampled)}
    for decoding in ("Greedy", "Sampled"):
        # The base's own single passes are also what self-consistency is sized by, so one of them always runs.
        if decoding in spec.evaluation.decoding:
            suffix, protocol = single[decoding]
            answer(f"base{suffix}", protocol=protocol, teachers=[base], calls_per_question=1)
    reference = next(iter(found.values()))
    discussion = discussing | common
    if "Debate" in controls:
        answer(
            "debate",
            protocol=discussion,
            teachers=teachers,
            execution=debate_spec.execution,
            calls_per_question=most_calls(debate_spec.protocol),
        )
    if "SelfConsistency" in controls:
        voting = {"type": "SelfConsistency", "rounds": 1, "sampling": discussing["sampling"], **common}
        if "Debate" in controls:
            voting |= {"agents": "EqualTokens"}
            inputs = {"debate": found["debate"].key, "single": reference.key}
        else:
            voting |= {"agents": debate_spec.protocol.agents * debate_spec.protocol.rounds}
            inputs = {}
        answer("self-consistency", protocol=voting, teachers=[base], inputs=inputs)
    if "SelfReview" in controls:
        answer(
            "self-review",
            protocol=discussion | {"peers": "Own"},
            teachers=teachers,
            execution=debate_spec.execution,
            calls_per_question=most_calls(debate_spec.protocol),
        )
    for name, stage in students.items():
        for decoding in ("Greedy", "Sampled"):
            if decoding in spec.evaluation.decoding and (name == "student" or decoding == spec.evaluation.decoding[0]):
                suffix, protocol = single[decoding]
                answer(
                    f"{name}{suffix}", protocol=protocol, teachers=[], inputs={"model": stage.key}, calls_per_question=1
                )
    return found
