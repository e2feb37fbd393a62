"""The settings of a stage: all that can change its result, and the hash that its saved state is found by."""

from __future__ import annotations

from dataclasses import dataclass, field

from mtpd import files
from mtpd.detectors import configs
from mtpd.experiment import identity
from mtpd.training import steps


@dataclass(frozen=True)
class Stage:
    """Everything that can change the result of a stage.

    ``student``, ``teachers`` and ``inherits`` (the detector whose neck and heads the student takes, if any)
    are specs of detectors (``config``, ``overrides``, ``image_scale``; with a teacher also ``taps``).
    ``dataset`` is as for ``pipelines.add_training``; ``recipe`` is as in the experiment file.
    ``epochs_before`` are those of the chain's earlier stages.
    ``parent`` is the checkpoint that the student starts from, if not from its config's own weights; these are
    random if not ``pretrained``, as in a rehearsal.
    ``initial`` says how the student starts from the checkpoint ``initial_weights``, if from such a one.
    ``backbones`` are files of pretrained weights, by the names that the student's config gives them.
    """

    dataset: dict
    student: dict
    recipe: dict
    epochs: int
    seed: int
    epochs_before: int = 0
    teachers: tuple[dict, ...] = ()
    inherits: dict | None = None
    teacher_weights: tuple[str, ...] = ()
    inherited_weights: str | None = None
    parent: str | None = None
    initial: dict | None = None
    initial_weights: str | None = None
    backbones: dict[str, str] = field(default_factory=dict)
    pretrained: bool = True
    # These cannot change the result.
    made_with: dict = field(default_factory=dict)  # of ``mtpd.experiment.identity``: written into the results
    workers: int = 0
    trackers: tuple[str, ...] = ()

    def position(self) -> dict[str, int]:
        """What all random numbers depend on, beside the place within the stage."""
        return {"seed": self.seed, "epochs_before": self.epochs_before}

    def micro_batch(self) -> int:
        """Images of one forward and backward pass."""
        return self.recipe["micro_batch_size"] or self.recipe["batch_size"]

    def teacher_scales(self) -> list[float]:
        """Scale of the images that each teacher sees, relative to the student's."""
        return [spec["image_scale"] / self.student["image_scale"] for spec in self.teachers]

    def images_of_process(self) -> int:
        """Images of a step that this process works on; a ValueError if a step cannot be divided evenly."""
        return steps.images_of_process(self.recipe["batch_size"], self.micro_batch())

    def fingerprint(self) -> str:
        """Hash of all that can change the weights: settings, resolved configs, the content of input files.

        Not the code: see ``versions``. Not what only scores: see ``identity.ONLY_SCORING``.
        """
        dataset = {key: value for key, value in self.dataset.items() if key != "train"}
        settings = identity.trained_with({"dataset": dataset, "recipe": self.recipe})
        backbones = {name: files.known_sha256(path) for name, path in self.backbones.items()}
        initial = self.initial_weights and [self.initial, files.known_sha256(self.initial_weights)]
        return files.fingerprint(
            {
                "settings": [settings, self.epochs, self.pretrained],
                "position": self.position(),
                "student": configs.resolved(self.student, backbones),
                "teachers": [configs.resolved(spec) for spec in self.teachers],
                "inherits": self.inherits and configs.resolved(self.inherits),
                "annotations": self._annotations(),
                "weights": [files.known_sha256(path) for path in self.teacher_weights],
                "inherited": self.inherited_weights and files.known_sha256(self.inherited_weights),
                "parent": self.parent and files.known_sha256(self.parent),
                "backbones": sorted(backbones.values()),
                **({"initial": initial} if initial else {}),  # without it, as before there was such a key
            }
        )

    def _annotations(self) -> str:
        """The hash of the training split: of imported data that of their content, else of the file."""
        train = self.dataset["train"]
        content = train.get("content")
        return content if isinstance(content, str) else files.known_sha256(train["annotations"])
