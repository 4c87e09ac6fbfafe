"""TRL's GRPOTrainer with an advantage per token.

One override carries it: TRL's loss takes a ``(B, T)`` advantage as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from accelerate.utils import gather_object
from trl.trainer.grpo_trainer import GRPOTrainer

from agentark.api import PAD
from agentark.distill.pad.assessing import Assessed, Assessor, advantages, batch_statistics, process_rewards, summary
from agentark.distill.recipe import VerifiedEvaluation


class PadTrainer(VerifiedEvaluation, GRPOTrainer):  # type: ignore[misc]
    """Maximises the clipped surrogate with PAD's advantages.

    Args:
        pad: Weights, baseline, aggregation.
        assessor: What an answer is worth.
        arguments: As VerifiedEvaluation's and GRPOTrainer's.
    """

    def __init__(self, *, pad: PAD, assessor: Assessor, **arguments: Any) -> None:
        self._pad = pad
        self._assessor = assessor
        self._assessed: list[Assessed] = []
        super().__init__(reward_funcs=self._outcomes, **arguments)

    def _outcomes(
        self,
        prompts: Sequence[Sequence[Mapping[str, str]]],
        completion_ids: Sequence[Sequence[int]],
        gold: Sequence[str | None],
        **_: Any,
    ) -> list[float]:
        """TRL's reward function: called once per batch of roll-outs, with what is assessed here for good."""
        self._assessed = self._assessor(prompts, completion_ids, gold)
        return [one.outcome for one in self._assessed]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        # Groups may span processes, so they are compared over all of them.
        everyone = gather_object(self._assessed)
        process = process_rewards(everyone, self._pad)
        start = self.accelerator.process_index * len(inputs)
        mine = advantages(everyone, process, self._pad, slice(start, start + len(inputs)))
        tokens = torch.zeros(output["completion_ids"].shape)
        for row, values in zip(tokens, mine, strict=True):
            row[: len(values)] = torch.from_numpy(values)
        output["advantages"] = tokens.to(output["completion_ids"].device)
        self._note(everyone, process)
        return output

    def _note(self, everyone: Sequence[Assessed], process: Sequence[Any]) -> None:
        """Put the batch into this step's log, from which guards and curves are read, also after an interruption."""
        found = batch_statistics(everyone, process, self._pad.group)
        point = summary(0, everyone, process, found)._asdict()
        for name, value in {**asdict(found), **point}.items():
            if name not in ("kl", "step"):  # TRL logs the divergence itself, once the loss is known.
                self._metrics["train"][f"pad/{name}"] = [float("nan") if value is None else float(value)]
