"""The addresses that a resource names, whose identity a plan needs."""

from agentark.api import Dataset, DebateRunSpec, DistillJobSpec, Model, ModelRelease, PRMTrainingSpec, Resource


def addresses(resource: Resource) -> tuple[list[Dataset], list[Model]]:
    """All data sets and all models whose identity a plan needs."""
    if isinstance(resource, ModelRelease):
        return [], []
    spec = resource.spec
    debates = [spec if isinstance(spec, DebateRunSpec) else spec.debate]
    datasets: list[Dataset] = []
    models: list[Model] = []
    if isinstance(spec, DistillJobSpec):
        datasets += [suite.dataset for suite in spec.evaluation.suites]
        models.append(spec.student.model)
        if spec.prm is not None:
            debates.append(spec.prm.debate)
            models += [spec.prm.model] if spec.prm.model else []
        if spec.pad is not None and spec.pad.prm_endpoint is not None:
            models.append(spec.pad.prm_endpoint.weights)
    elif isinstance(spec, PRMTrainingSpec) and spec.model is not None:
        models.append(spec.model)
    for debate in debates:
        if debate is not None:
            datasets.append(debate.dataset)
            teachers = [debate.teacher, *(agent.teacher for agent in debate.protocol.team if agent.teacher)]
            models += [teacher.model for teacher in teachers if teacher.model]
    return datasets, models
