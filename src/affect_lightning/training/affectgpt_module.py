"""AffectGPTModule: steps, optimiser, logging and checkpoints of AffectGPT for Lightning (paper, Section 5).

All network mathematics is in `affect_lightning.model`, the learning rate in `optimisation.py`;
`affect_lightning.checkpoints` reads what is stored here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.modules.module import _IncompatibleKeys

from affect_lightning.checkpoints.compatibility import NETWORK_PREFIX, Purpose, check_fits, network_state
from affect_lightning.checkpoints.reading import StartingWeights
from affect_lightning.contracts import ClipBatch, LossTerm, Objective, ResponseRow, run_data_of
from affect_lightning.contracts.pipeline_parts import OPTIONS_KEY
from affect_lightning.errors import CheckpointError, ConfigurationError
from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration
from affect_lightning.model.options import ModuleOptions
from affect_lightning.model.processes import mean_over_processes, shares_of_means
from affect_lightning.model.prompt_tokens import PromptMaker
from affect_lightning.plugin_loading import build_part, resolve_choice
from affect_lightning.prompting import asked_text
from affect_lightning.training.device_execution import (
    check_training_precision,
    compile_blocks,
    recompute_activations,
    shard_network,
    whole_tensor,
)
from affect_lightning.training.late_reading import is_late, log_number
from affect_lightning.training.loss_anomalies import NonFiniteGuard
from affect_lightning.training.optimisation import (
    build_optimizer,
    learning_rate_factor,
    leave_out_step,
    schedule_length,
    seed_step,
    step_seed,
)
from affect_lightning.training.sampled_training import (
    START_KEY,
    keep_start,
    log_measures,
    repeat_step,
    restore_start,
    stored_start,
)
from affect_lightning.training.weight_sharing import read_in_one_process


class AffectGPTModule(LightningModule):
    """AffectGPT in training: parts chosen by name, plain values in checkpoints, trained weights only."""

    def __init__(self, **options: Any) -> None:
        """Check the configuration; `configure_model` builds the parts.

        Args:
            **options: Of `model.options.ModuleOptions`, which explains them; `language_model` has no default.

        Raises:
            ConfigurationError: An option is out of range.
            PluginError: A plugin or one of its options is wrong.
        """
        given = ModuleOptions(**options)
        if given.seed is None:
            given = replace(given, seed=0)
        super().__init__()
        for question in given.predict_questions or ():
            asked_text(question)  # refuses an unknown kind before anything is built
        self.configuration = ModelConfiguration.of(given)
        objective = resolve_choice("objectives", given.objective)
        self.objective: Objective = build_part("objectives", objective)
        resolved = {**self.configuration.as_dict(), "objective": objective}
        self.save_hyperparameters({**vars(given), **resolved})  # resolved, so that it reloads alike
        self.strict_loading = False  # frozen weights are in no checkpoint; load_state_dict checks the rest itself
        self.network: AffectGPT | None = None
        self.filled_from = ""  # path of the weights that `start_from` took, as long as they are what is used
        self._fill: Callable[[AffectGPT], None] | None = None
        self.nonfinite = NonFiniteGuard(given.on_nonfinite, given.max_skipped_steps)

    @classmethod
    def from_checkpoint_values(cls, checkpoint: Mapping[str, Any], source: str) -> AffectGPTModule:
        """Build the module of a checkpoint that was read already, and fill it.

        Args:
            checkpoint: What `checkpoints.read_checkpoint` gives.
            source: Its path, for messages.

        Raises:
            CheckpointError: Hyperparameters are unknown to this version, or the weights do not fit.
        """
        values = {name: value for name, value in checkpoint["hyper_parameters"].items() if not name.startswith("_")}
        try:
            module = cls(**values)
        except TypeError as error:
            raise CheckpointError(
                f"The hyperparameters in {source} do not fit this version: {error}. Use the "
                "version that wrote them, or train again."
            ) from error
        module.configure_model()
        module.load_state_dict(checkpoint["state_dict"])
        return module

    @property
    def built_network(self) -> AffectGPT:
        """The network, once `configure_model` has built it."""
        if self.network is None:
            raise ConfigurationError(
                "Call configure_model() first, or let the Trainer do it: the network is not built yet."
            )
        return self.network

    def prompt_maker(self) -> PromptMaker | None:
        """What tokenises the batches to learn from, for the data module; see `contracts.prompt_maker_of`."""
        return None if self.network is None else self.network.prompt_maker()

    @property
    def encoded_streams(self) -> tuple[str, ...]:
        """Streams that the data module must read; known before anything is built."""
        return self.configuration.encoded_streams

    def start_from(self, weights: StartingWeights, *, trains: bool) -> None:
        """Let the network begin with stored weights; nothing else of where they come from goes on.

        Args:
            weights: With what they were trained as.
            trains: Whether they are trained further, not only used.

        Raises:
            CheckpointError: They do not fit this configuration; the message names each option that differs.
        """
        check_fits(weights.configuration, self.hparams, weights.source, purpose="start" if trains else "use")
        self.filled_from, self._fill = "" if trains else weights.source, weights.fill

    def configure_model(self) -> None:
        """Build the network, once; the initial weights of what trains depend on `seed` only, or on `start_from`.

        Encoders are left out where the trainer's data module has `feature_widths`: its batches bring cached features.
        For training under the strategy `fsdp` one process reads the language model, and the network is sharded here.

        Raises:
            ConfigurationError: The Trainer's precision keeps no 32-bit masters of what trains.
        """
        if self.network is not None:
            return
        trains = self._trainer is not None and self._trainer.state.fn == "fit"
        if trains:
            check_training_precision(self.trainer.precision)
        shards = trains and self.device_mesh is not None
        self.network = read_in_one_process(self._build_network) if shards else self._build_network()
        self._fill = None  # and what it read may go
        blocks = self.network.language_model.shardable_blocks()
        if self.hparams["activation_checkpointing"]:
            recompute_activations(blocks)
        if self.hparams["compile_backend"] is not None:
            compile_blocks(blocks, self.hparams["compile_backend"])
        if shards:
            assert self.device_mesh is not None
            mesh = getattr(self.trainer.strategy, "weights_mesh", self.device_mesh["data_parallel"])
            shard_network(self.network, mesh, self.trainer.precision)

    def _build_network(self, empty_language_model: bool = False) -> AffectGPT:
        """The network with its initial weights; an empty language model is filled by another process, as all that trains."""
        data = run_data_of(self._trainer)
        widths = None if data is None else data.feature_widths
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.hparams["seed"])
            network = AffectGPT.from_configuration(
                self.configuration, widths, empty_language_model=empty_language_model
            )
        if self._fill is not None and not empty_language_model:
            self._fill(network)
        return network

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Trained weights only: what a checkpoint holds."""
        state = super().state_dict(*arguments, **options)
        if self.network is None or arguments or options.get("prefix"):
            return state
        kept = {NETWORK_PREFIX + name for name in self.network.trainable_state()}
        for name in [name for name in state if name not in kept]:
            del state[name]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load trained weights; nothing may be missing or surplus, whatever `strict` says.

        Raises:
            CheckpointError: Names or shapes differ from those of the configuration.
        """
        self.configure_model()
        self.built_network.load_trainable_state(network_state(state_dict), "the checkpoint", assign=assign)
        return _IncompatibleKeys([], [])  # frozen weights are no gap: Lightning would warn of each

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep how many steps were skipped, and how clips are read and asked.

        Raises:
            NonFiniteError: The last step was not finite; then nothing is written.
        """
        if self._trainer is not None:
            self.nonfinite.catch_up(self.trainer)
        checkpoint["skipped_steps"] = self.nonfinite.skipped
        start = stored_start(self.network)
        if start is not None:
            checkpoint[START_KEY] = start
        reading = getattr(run_data_of(self._trainer), "response_options", None)
        if reading is not None:
            checkpoint.setdefault(OPTIONS_KEY, {})["data"] = reading()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another configuration when a Trainer restores it.

        Raises:
            CheckpointError: It differs in an option that matters; the message names all of them.
        """
        if self._trainer is not None:
            purpose: Purpose = "go on" if self.trainer.state.fn == "fit" else "use"
            check_fits(checkpoint["hyper_parameters"], self.hparams, str(self.trainer.ckpt_path), purpose=purpose)
            if purpose == "go on":
                restore_start(self.objective, self.built_network, checkpoint)
        self.nonfinite.skipped = int(checkpoint.get("skipped_steps", 0))

    def on_train_start(self) -> None:
        """Let the network keep the weights that it begins with, for an objective that compares with them."""
        keep_start(self.objective, self.built_network)

    def on_train_batch_start(self, batch: ClipBatch, batch_idx: int) -> None:
        """Make what the step draws (dropout, samples) depend on nothing that happened before; see `optimisation.py`."""
        seed, epoch = self.hparams["seed"], self.trainer.current_epoch
        seed_step(seed, epoch, batch_idx, self.global_rank)
        self.objective.begin_step(step_seed(seed, epoch, batch_idx, 0))

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """One step on a batch, or as many as the objective wants."""
        accumulated = self.trainer.accumulate_grad_batches
        optimizer.step(closure=repeat_step(self.objective, optimizer, optimizer_closure, accumulated))

    def training_step(self, batch: ClipBatch, batch_index: int) -> Tensor:
        """The objective's terms in one sum, weighted so that over processes each is the mean over all its items."""
        terms = self.built_network.terms(self.objective, batch)
        several = self.trainer.world_size > 1
        if several:
            terms = over_processes(terms)
        loss = weighted_sum(terms)
        self.nonfinite.note(batch.names, loss)
        if not several and not batch.teaches:
            return loss  # it only replaces a batch that could not be read, and teaches nothing
        late = is_late(loss.device)  # then `on_train_batch_end` tells the progress bar, which would wait for it here
        self.log("train/loss", mean_over_processes(loss), prog_bar=not late, batch_size=len(batch))
        for name, term in terms.items() if len(terms) > 1 else ():
            self.log(f"train/{name}", mean_over_processes(term.mean), batch_size=len(batch))
        log_measures(self, self.objective.measures(), split="train", several=several)
        optimizers = self.trainer.optimizers
        if optimizers:
            log_number(self, "train/learning_rate", optimizers[0].param_groups[0]["lr"], batch_size=len(batch))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: ClipBatch, batch_idx: int) -> None:
        """Show the loss in the progress bar where it is read one step late."""
        if is_late(self.device) and self.nonfinite.newest_loss is not None:
            newest = self.nonfinite.newest_loss
            log_number(self, "train/loss", newest, prog_bar=True, logger=False, batch_size=len(batch))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the gradient's norm before clipping; a loss or norm that is no finite number stops or skips the step.

        Under fp16 with loss scaling an infinite gradient is usual: the scaler skips that step.

        Raises:
            NonFiniteError: See `loss_anomalies.py`.
        """
        gradients = [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        norm = whole_tensor(torch.nn.utils.get_total_norm(gradients))
        check_norm = self.trainer.precision != "16-mixed"
        skip = self.nonfinite.judge(norm, check_norm=check_norm, step=self.global_step, trainer=self.trainer)
        leave_out_step(optimizer, skip)
        self.log("train/gradient_norm", torch.where(skip > 0, 0.0, norm))
        if self.nonfinite.skipped:
            log_number(self, "train/skipped_steps", self.nonfinite.skipped, prog_bar=True)

    def on_train_end(self) -> None:
        """Judge the last step."""
        self.nonfinite.catch_up(self.trainer)

    def validation_step(self, batch: ClipBatch, batch_index: int) -> None:
        """Log the terms on clips with responses: means over their items, however these were put into batches.

        `val/loss` is the term of an objective that has one; of several it is their sum, weighted by the first's items.
        """
        terms = self.built_network.terms(self.objective, batch)
        logged = {"val/loss": (weighted_sum(terms), next(iter(terms.values())).items)}
        if len(terms) > 1:
            logged |= {f"val/{name}": (term.mean, term.items) for name, term in terms.items()}
        for name, (mean, items) in logged.items():
            # Lightning only multiplies and adds the number, so it may stay on the device: nobody waits for it.
            weight: Any = items.detach()
            self.log(name, mean, prog_bar=name == "val/loss", batch_size=weight, sync_dist=True)
        log_measures(self, self.objective.measures(), split="val", several=True)

    def test_step(  # type: ignore[override]  # Lightning passes any output on to callbacks
        self, batch: ClipBatch, batch_index: int, dataloader_idx: int = 0
    ) -> list[ResponseRow]:
        """Responses of a batch with the truth next to them, one row a clip."""
        responses = self.built_network.generate(batch, **self._decoding)
        return ResponseRow.of_batch(batch, batch.questions, responses)

    def predict_step(self, batch: ClipBatch, batch_index: int, dataloader_idx: int = 0) -> list[ResponseRow]:
        """The same; with `predict_questions`, a row for each of them and each clip."""
        kinds = self.hparams["predict_questions"]
        if not kinds:
            return self.test_step(batch, batch_index, dataloader_idx)
        questions = [asked_text(kind) for kind in kinds]
        answers = self.built_network.answer(batch, questions, **self._decoding)
        return [
            row
            for position, question in enumerate(questions)
            for row in ResponseRow.of_batch(batch, [question] * len(batch), [texts[position] for texts in answers])
        ]

    @property
    def _decoding(self) -> dict[str, Any]:
        return {name: self.hparams[name] for name in ("max_new_tokens", "temperature", "top_p", "seed")}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with warm-up, then a cosine over the configured length or the constant rate."""
        optimizer = build_optimizer(self._parameter_groups(), self.hparams["learning_rate"], self.trainer.precision)
        length = None
        if self.hparams["learning_rate_schedule"] == "cosine":
            length = schedule_length(
                self.hparams["total_steps"],
                self.trainer.max_steps,
                self.trainer.max_epochs,
                self.trainer.limit_train_batches,
                self.trainer.accumulate_grad_batches,
            )
        warmup_steps = self.hparams["warmup_steps"]
        warmup_factor = self.hparams["warmup_start"] / self.hparams["learning_rate"]
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: learning_rate_factor(
                step, warmup_steps=warmup_steps, warmup_factor=warmup_factor, total_steps=length
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Adapter and the rest, each with and without weight decay; groups without parameters are left out."""
        adapter_rate = self.hparams["learning_rate"]
        other_rate = self.hparams["projector_learning_rate"] or adapter_rate
        grouped: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.built_network.named_parameters():
            if parameter.requires_grad:
                rate = adapter_rate if name.startswith("language_model.") else other_rate
                decay = self.hparams["weight_decay"] if parameter.ndim > 1 else 0.0
                grouped.setdefault((rate, decay), []).append(parameter)
        if not grouped:
            raise ConfigurationError(
                "Set lora_rank, or add a stream to `inputs`: the adapter has rank 0 and the prompt shows text only, "
                "so nothing would train."
            )
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in grouped.items()
        ]


def weighted_sum(terms: Mapping[str, LossTerm]) -> Tensor:
    """What training makes small: the terms in one number."""
    return torch.stack([term.mean * term.weight if term.weight != 1.0 else term.mean for term in terms.values()]).sum()


def over_processes(terms: Mapping[str, LossTerm]) -> dict[str, LossTerm]:
    """The terms scaled so that their means over processes are means over all items. Collective."""
    shares = shares_of_means(torch.stack([term.items for term in terms.values()]))
    return {
        name: term._replace(mean=term.mean * share) for (name, term), share in zip(terms.items(), shares, strict=True)
    }
