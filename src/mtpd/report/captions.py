"""Titles and captions of the report page, for readers who have not read the paper.

They are keyed by the kind of a figure, in the order of the page.
"""

# Pictures of imported data; a kind is the name of a file of ``mtpd.datasets.pictures``.
OF_DATA = {
    "train_samples": (
        "Training images, as they are trained with",
        "Up to twelve training images with their boxes and classes, under the names of their files; images "
        "with rare classes come first. Are the boxes around the objects, and are the names right?",
    ),
    "counts": (
        "How many objects, and how large",
        "Objects by class, the sizes of objects and the sizes of images, of each split. Both splits should "
        "look alike: otherwise AP judges the detectors by other data than they have learnt from.",
    ),
}

# Plots of the experiment (``mtpd.experiment.outputs.plots_by_kind``), then what only the page has.
OF_RESULTS = {
    "comparison": (
        "Is a sequence of teachers better?",
        "Difference in AP (validation) between an arm and its control, by seed, with the mean and its 95% "
        "interval. "
        "Right of the line, the arm is better; an interval that includes 0 shows no difference.",
    ),
    "paper": (
        "Beside the paper's results",
        "AP that the paper (or its authors' code) reports, in light colours, and ours, by the distillation "
        "loss. Heights of bars in the paper's figure are read to 0.1 AP.",
    ),
    "arms": (
        "AP of every arm",
        "COCO's AP (validation) of the student at the end of each arm. An arm is a way to train the student; "
        "all arms that are compared should have the same number of epochs.",
    ),
    "ap_over_epochs": (
        "AP from stage to stage",
        "AP on the validation images over the epochs. Each coloured span is a stage with one teacher, and "
        "the dashed line is that teacher's AP.",
    ),
    "adaptation_cost": (
        "How far the detectors are from each other",
        "The adaptation cost is the part of the target's features that no linear map of the source's "
        "features explains. The framed steps are the order that Backward Greedy Selection chose.",
    ),
    "orders": (
        "Every order of the teachers",
        "AP of each trained order against what the adaptation costs predict: on the left the sum of the "
        "costs of its steps, on the right the largest one.",
    ),
    "cost_of_accuracy": (
        "Accuracy and cost",
        "AP (validation) against milliseconds an image and against the number of parameters. Arms have those "
        "of the student.",
    ),
    "changes": (
        "Where the student gains",
        "Difference in AP from the student trained alone, for each class and for small, medium and large "
        "objects (COCO's sizes), after each stage of the first seed. With more than 20 classes: those with "
        "the largest differences.",
    ),
    "precision_recall": (
        "Precision and recall",
        "Mean over classes, at an IoU of at least 0.5. Dashed: teachers. Arms: the first seed.",
    ),
    "confusion": (
        "Which classes are confused",
        "Detections with a score of at least 0.3, matched with objects at an IoU of at least 0.5. The last "
        "column, “nothing”, has missed objects, and the last row false detections. With more than 20 "
        "classes: those with the most errors. First seed.",
    ),
    "loss_and_ap": (
        "Training loss and validation AP",
        "The sum of the student's detection loss and the distillation loss, mean of each epoch, and AP. "
        "Dotted: a new stage begins. First seed. Losses with different teachers or recipes cannot be "
        "compared.",
    ),
    "pictures": (
        "The same images, seen by each detector",
        "Validation images: the two with the largest gain of the last arm shown over the student alone "
        "(in F1, the harmonic mean of precision and recall of one image), the two with the largest loss, "
        "and two at random. Boxes with a score of at least 0.3.",
    ),
}
