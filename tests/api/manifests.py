"""Whole manifests of every kind, and for every rule changes that break it."""
# ruff: noqa: E501  one case a line

import copy
from typing import Any

_DATASET = {"uri": "s3://data/train.jsonl"}
_TEACHER = {"model": {"uri": "hf://org/teacher"}}
_DEBATE = {"dataset": _DATASET, "teacher": _TEACHER}
_SUITE = {"name": "test", "dataset": {"uri": "s3://data/test.jsonl"}}
_ENDPOINT = {"baseUrl": "http://prm.example/v1", "model": "prm"}

PODS = {
    "metadata": {"annotations": {"example.com/team": "reasoning"}},
    "spec": {
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [
            {"name": "stage", "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}], "resources": {"limits": {"cpu": 4}}}
        ],
    },
}
"""A part of a pod template."""

SPECS: dict[str, dict[str, Any]] = {
    "DebateRun": _DEBATE,
    "PRMTraining": {"debate": _DEBATE},
    "DistillJob": {
        "debate": _DEBATE,
        "student": {"model": {"uri": "hf://org/student"}},
        "methods": ["RSFT", "PAD"],
        "evaluation": {"suites": [_SUITE]},
    },
    "ModelRelease": {"currentVersion": 1},
}

Case = tuple[str, dict[str, Any], str]
"""A kind, fields to set (dotted paths; None removes one), and the message of the rule that they break."""

BROKEN: list[Case] = [
    ("DebateRun", {"teacher.endpoint": _ENDPOINT}, "give exactly one of 'model' and 'endpoint'"),
    ("DebateRun", {"teacher.model": None}, "give exactly one of 'model' and 'endpoint'"),
    ("DebateRun", {"teacher": {"endpoint": _ENDPOINT, "serving": {"replicas": 2}}}, "serving belongs to 'model'; an endpoint is served already"),
    ("DebateRun", {"teacher.serving": {"replicas": 0}}, "should be greater than or equal to 1"),
    ("DebateRun", {"runPolicy.backoffLimit": 101}, "should be less than or equal to 100"),
    ("DebateRun", {"runPolicy.interruptionLimit": -1}, "should be greater than or equal to 0"),
    ("DebateRun", {"runPolicy.activeDeadlineSeconds": 0}, "should be greater than or equal to 1"),
    ("DebateRun", {"runPolicy.ttlSecondsAfterFinished": 2**31}, "should be less than or equal to 2147483647"),
    ("DebateRun", {"runPolicy.historyLimit": 33}, "should be less than or equal to 32"),
    ("DebateRun", {"runPolicy.managedBy": ""}, "should be at least 1 chars long"),
    ("DebateRun", {"dataset.task": "medmcqa", "dataset.grading": {"lists": "Unordered"}}, "answers of task medmcqa are letters; remove grading"),
    ("DistillJob", {"evaluation.suites": [{"name": "test", "dataset": {"uri": "file:x", "task": "medmcqa", "grading": {"absoluteTolerance": "0.1"}}}]}, "answers of task medmcqa are letters; remove grading"),
    ("DebateRun", {"dataset.grading.relativeTolerance": "1.0"}, "relativeTolerance is less than 1"),
    ("DebateRun", {"dataset.grading.relativeTolerance": "1.5"}, "must lie between 0 and 1"),
    ("DebateRun", {"dataset.grading.absoluteTolerance": "-0.1"}, "should match '^[0-9]+"),
    ("DebateRun", {"dataset.grading.lists": "Sorted"}, 'Unsupported value: "Sorted"'),
    ("DebateRun", {"protocol.prompts.solve": "no place for it"}, "solve must hold {question}"),
    ("DebateRun", {"protocol.prompts.peer": "nothing"}, "peer must hold {solution}"),
    ("DebateRun", {"protocol.prompts.review": "{question}"}, "review must hold {peers}"),
    ("DebateRun", {"protocol.prompts.summarise": "{peers}"}, "summarise must hold {question} and {peers}"),
    ("DebateRun", {"protocol.team": [{"role": "critic"}]}, "team needs one entry per agent, or none"),
    ("DebateRun", {"protocol.type": "SinglePass", "protocol.agents": 2}, "a SinglePass has one agent; leave agents out"),
    ("DebateRun", {"protocol.sampling.temperature": "2.5"}, "must lie between 0 and 2"),
    ("DebateRun", {"protocol.sampling.topP": "1e1"}, "must lie between 0 and 1"),
    ("PRMTraining", {"debateRef": {"name": "other"}}, "give one of 'debate' and 'debateRef', not both"),
    ("PRMTraining", {"labels": ["Agreement", "Agreement"]}, "labels name each source once"),
    ("PRMTraining", {"labels": ["Judge"]}, "labels with Judge and 'judge' (the server that judges) go together; give both or neither"),
    ("PRMTraining", {"judge": _ENDPOINT}, "labels with Judge and 'judge' (the server that judges) go together; give both or neither"),
    ("PRMTraining", {"monteCarlo.rollouts": 4}, "monteCarlo is given; add MonteCarlo to labels"),
    ("PRMTraining", {"labels": ["MonteCarlo"], "monteCarlo.temperature": "0"}, 'temperature "0" makes all continuations the same; give more than 0'),
    ("PRMTraining", {"temperature": "0"}, "temperature is more than 0"),
    ("PRMTraining", {"headFraction": "1"}, "headFraction is less than 1, or the backbone would never learn"),
    ("PRMTraining", {"representationWeight": "0.5"}, "representationWeight belongs to loss: Representation"),
    ("PRMTraining", {"heldOutFraction": "0"}, "heldOutFraction is more than 0 and less than 1"),
    ("DistillJob", {"debateRef": {"name": "other"}}, "give exactly one of 'debate' and 'debateRef'"),
    ("DistillJob", {"debate": None}, "give exactly one of 'debate' and 'debateRef'"),
    ("DistillJob", {"release": {"name": "it", "gates": [{"suite": "none", "minValue": "0.5"}]}}, "release.gates name a suite that evaluation.suites does not have"),
    ("DistillJob", {"release": {"name": "it", "gates": [{"suite": "test"}]}}, "a gate asks for minGainOver, minValue, or both"),
    ("DistillJob", {"evaluation.controls": [], "release": {"name": "it", "gates": [{"suite": "test", "minGainOver": "debate"}]}}, "a gate with minGainOver: debate needs the debate's answers; add Debate to evaluation.controls"),
    ("DistillJob", {"release": {"name": "it", "gates": [{"suite": "test", "minValue": "90"}]}}, "must lie between 0 and 1"),
    ("DistillJob", {"evaluation.suites": [_SUITE, _SUITE]}, "names of suites must differ"),
    ("DistillJob", {"methods": ["DA"], "pad.steps": 5}, "pad, prm, prmRef and the control OutcomeOnly belong to PAD; add PAD to methods, or remove them"),
    ("DistillJob", {"methods": ["DA"], "evaluation.controls": ["OutcomeOnly"]}, "pad, prm, prmRef and the control OutcomeOnly belong to PAD; add PAD to methods, or remove them"),
    ("DistillJob", {"dpo.beta": "0.5"}, "dpo belongs to DPO; add DPO to methods, or remove it"),
    ("DistillJob", {"methods": ["DPO"], "dpo.beta": "0"}, "must lie between 1e-12 and 1000000"),
    ("DistillJob", {"prm": {}, "prmRef": {"name": "it"}}, "give one of prm, prmRef and pad.prmEndpoint"),
    ("DistillJob", {"prm": {}, "pad.processWeight": "0"}, 'prm and prmRef score nothing where pad.processWeight is "0"; remove one'),
    ("DistillJob", {"prm.heldOutFraction": "0.05"}, "prm.heldOutFraction is less than curation.heldOutFraction; leave it out, or give at least as much"),
    ("DistillJob", {"evolve.rounds": 2, "curation.heldOutFraction": "0"}, "evolve needs held-out questions for its gates; raise curation.heldOutFraction"),
    ("DistillJob", {"training.gpusPerNode": 3}, "pad.promptsPerStep x pad.group must be a multiple of all training processes"),
    ("DistillJob", {"training": {"backend": "Job", "elastic": {"minNodes": 1, "maxNodes": 4}}}, "elastic and gang belong to backend: PyTorchJob"),
    ("DistillJob", {"training": {"backend": "TrainJob", "gang": {"queue": "research"}}}, "elastic and gang belong to backend: PyTorchJob"),
    ("DistillJob", {"training.elastic": {"minNodes": 4, "maxNodes": 2}}, "elastic.minNodes is more than elastic.maxNodes"),
    ("DistillJob", {"training.runtimeRef": {"name": "torch-tune"}}, "runtimeRef belongs to backend: TrainJob"),
    ("PRMTraining", {"training.runtimeRef": {}}, "runtimeRef belongs to backend: TrainJob"),
    ("DistillJob", {"pad.guards.stepDrift": "1"}, 'stepDrift is a factor above 1, or "0" to switch it off'),
    ("DistillJob", {"pad.guards.lengthDrift": "0.5"}, 'lengthDrift is a factor above 1, or "0" to switch it off'),
    ("DistillJob", {"pad.guards.disagreement": "1"}, 'disagreement is less than 1, or "0" to switch it off'),
    ("DistillJob", {"pad.steps": 5, "pad.iterations": 2}, "steps must be a multiple of iterations"),
    ("DistillJob", {"pad.temperature": "0"}, 'temperature "0" makes all answers the same; give more than 0'),
    ("DistillJob", {"pad.clip": "0"}, "clip is more than 0 and less than 1"),
    ("DistillJob", {"pad.minTemperature": "0.0"}, "must lie between 1e-12 and 1000000"),
    ("DistillJob", {"pad.learningRate": "0e0"}, "must lie between 1e-12 and 1000000"),
    ("DistillJob", {"pad.vllmUrl": "http://vllm.example"}, "vllmUrl and rollouts: VLLMServer go together; give both or neither"),
    ("DistillJob", {"pad.rollouts": "VLLMServer"}, "vllmUrl and rollouts: VLLMServer go together; give both or neither"),
    ("DistillJob", {"pad.processWeight": "0", "pad.outcomeWeight": "0"}, 'processWeight and outcomeWeight are both "0", so nothing is rewarded; raise one'),
    ("DistillJob", {"pad.processWeight": "0", "pad.prmEndpoint": {**_ENDPOINT, "weights": {"uri": "s3://m/prm"}}}, 'prmEndpoint would not be asked, because processWeight is "0"; remove one'),
]  # fmt: skip

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("DistillJob", {"methods": ["RSFT", "DPO"], "dpo": {"beta": "0.05", "learningRate": "5e-7"}}),
    ("DebateRun", {"teacher": {"endpoint": _ENDPOINT}}),
    ("DebateRun", {"protocol": {"agents": 1, "team": [{"role": "critic"}]}}),
    ("DebateRun", {"teacher.serving": {"replicas": 2, "gpusPerReplica": 0, "args": ["--max-model-len", "4096"], "pods": PODS}}),
    ("DebateRun", {"suspend": True, "pods": PODS, "runPolicy": {"backoffLimit": 0, "interruptionLimit": 0, "activeDeadlineSeconds": 1, "preRunningDeadlineSeconds": 600, "stallTimeoutSeconds": 60, "ttlSecondsAfterFinished": 0, "historyLimit": 0, "managedBy": "kueue.x-k8s.io/multikueue"}}),
    ("DebateRun", {"runPolicy": {"backoffLimit": 100, "interruptionLimit": 10000, "ttlSecondsAfterFinished": 2**31 - 1, "historyLimit": 32}}),
    ("DebateRun", {"dataset": {"uri": "file:x", "task": "gsm8k", "grading": {"absoluteTolerance": "0.01", "relativeTolerance": "0.999", "lists": "Unordered"}}}),
    ("DebateRun", {"dataset.grading": {}}),
    ("DebateRun", {"protocol.type": "SinglePass"}),
    ("DebateRun", {"protocol.type": "SinglePass", "protocol.agents": 1}),
    ("DebateRun", {"protocol.prompts": {"solve": "{question}", "peer": "{solution}", "review": "{peers}", "summarise": "{question}{peers}"}}),
    ("DebateRun", {"protocol.sampling": {"temperature": "2", "topP": "5e-1"}}),
    ("PRMTraining", {"debate": None}),
    ("PRMTraining", {"labels": ["Judge", "MonteCarlo"], "judge": _ENDPOINT, "monteCarlo": {"temperature": "0.1"}}),
    ("PRMTraining", {"loss": "Representation", "representationWeight": "0.5", "heldOutFraction": "0.2"}),
    ("DistillJob", {"debate": None, "debateRef": {"name": "other"}}),
    ("DistillJob", {"methods": ["DA"], "release": {"name": "it", "gates": [{"suite": "test", "minValue": "0.9"}, {"suite": "test", "minGainOver": "debate"}]}}),
    ("DistillJob", {"evaluation.controls": [], "release": {"name": "it", "gates": [{"suite": "test", "minGainOver": "student"}]}}),
    ("DistillJob", {"prm.heldOutFraction": "0.1", "evolve.rounds": 2, "evaluation.controls": ["OutcomeOnly"]}),
    ("DistillJob", {"pad": {"processWeight": "0", "guards": {"stepDrift": "0", "disagreement": "0"}}}),
    ("DistillJob", {"pad": {"steps": 6, "iterations": 3, "rollouts": "VLLMServer", "vllmUrl": "http://vllm.example"}}),
    ("DistillJob", {"pad.prmEndpoint": {**_ENDPOINT, "weights": {"uri": "s3://m/prm"}}}),
    ("DistillJob", {"training": {"nodes": 2, "gpusPerNode": 8}}),
    ("DistillJob", {"training": {"elastic": {"minNodes": 2, "maxNodes": 2}, "gang": {"queue": "research", "minAvailable": 2}}}),
    ("DistillJob", {"training": {"backend": "TrainJob", "runtimeRef": {"name": "torch-tune", "kind": "TrainingRuntime"}}}),
    ("ModelRelease", {"currentVersion": None}),
]  # fmt: skip


def manifest(kind: str, changes: dict[str, Any], *, name: str = "sample") -> dict[str, Any]:
    """The plain manifest of a kind with some fields set or removed."""
    spec = copy.deepcopy(SPECS[kind])
    for path, value in changes.items():
        *parents, last = path.split(".")
        node = spec
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = value
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "agentark.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
