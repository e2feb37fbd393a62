"""Input functions and params of the rules, in the order of the pipeline.

They are in a file of their own because `snakemake --lint` requires it.
"""

# Data

# The folders that can be downloaded and are missing, each with the paths that the experiment names in it.
data_to_fetch = input_files.data_to_fetch(experiment)

# What the import of the data is told, if they are not generated.
data_import = data_specs.data_import(experiment.dataset)


def annotations():
    """The annotation file of each split."""
    return data_specs.annotations(experiment, layout)


def import_kept(name):
    """A file of the import of the data as they are now."""
    return f"{folders.imported(data_import)}/{name}"


def import_to_take_again(name):
    return unless_equal(f"{folders.DATA}/{name}".format(dataset=layout.dataset), import_kept(name))


def what_went_in():
    """What the import says of the data, and its pictures; nothing if they are generated."""
    names = ("import.json", "train_samples.jpg", "counts.png") if data_import else ()
    return [f"{folders.DATA}/{name}".format(dataset=layout.dataset) for name in names]


def as_name(folder):
    """A path as a part of the name of a rule."""
    return re.sub(r"\W+", "_", folder)


def config_files(names):
    """The files of these detectors' mmdet configs, without those that come with mmdet."""
    return sorted({path for name in names for path in sources_of[name]})


# Detectors


# The names that configs give to pretrained weights, by the path where the workflow keeps them.
backbones_of = backbones.by_user(experiment)
backbone_names = {path: name for found in backbones_of.values() for name, path in found.items()}


def by_source(source, of=lambda detector: detector):
    """A wildcard's pattern: the detectors whose weights have this source. Args: ``of``, which weights."""
    return one_of(name for name, d in experiment.detectors.items() if getattr(of(d), source, None))


def downloads():
    """All files that come from the network: the path, the detector that needs it, and its address."""
    given = input_files.given_checkpoints(experiment)
    found = [(layout.detector(name, file), name, place.url) for name, file, place in given if place.url]
    return found + [(path, user, name) for user, own in backbones_of.items() for name, path in own.items()]


def trained(name, file):
    """A file of the stage that trains a detector without a teacher."""
    return f"{stage_inputs.training_stage(experiment, layout, name)}/{file}"


# Results that do not fit


def made_again(job_file, why):
    """No input; but the job that makes this file runs again if there is a reason.

    Snakemake remembers settings only in ``.snakemake``, which results that were copied do not have beside them.
    """
    if why and workflow.is_main_process:
        logger.info(f"{job_file}: to be made again: {why}")
        run_again(job_file)
    return []


def unless_it_fits(result, spec, product=None):
    """No input; but the job of a result runs again if other settings made the result than those of now.

    Args: ``spec``, a function that gives the settings of now; see ``identity.misfit``.
    """
    return made_again(result, identity.misfit(result, spec, product))


def unless_equal(copy, source):
    """No input; but the job that makes a copy runs again if the copy is unlike its source."""
    both = copy and source and Path(copy).exists() and Path(source).exists()
    differs = both and files.known_sha256(copy) != files.known_sha256(source)
    return made_again(copy, f"differs from {source}" if differs else None)


def trained_to_take_again(wildcards):
    for copy, file in (("weights.pth", "student.pth"), ("metrics.json", "metrics.json")):
        unless_equal(layout.detector(wildcards.detector, copy), trained(wildcards.detector, file))
    return []


# Rehearsal


def stood_in_for():
    """The annotation file, if there is one, whose classes a rehearsal draws."""
    path = data_specs.stood_in_for(experiment)
    return [path] if path and Path(path).exists() else []


def without_source():
    """The detectors that get random weights: in a rehearsal, those whose checkpoint is not there."""
    return [name for name, d in experiment.detectors.items() if not (d.train or d.place)]


# Order


def members(wildcards):
    """The detectors between which adaptation costs are measured."""
    return specs.pool_members(experiment, wildcards.student, wildcards.pool)


def finished_order(student, pool):
    """The file of the order; Snakemake calls this again once the checkpoint has written it."""
    return checkpoints.order_teachers.get(dataset=layout.dataset, student=student, pool=pool).output.order


def orders_of(student, pool):
    """The orders of a student and pool, by policy."""
    return files.read_json(finished_order(student, pool))["orders"]


# Stages


def stage_reads(wildcards):
    """The checkpoints that a stage reads; see ``stage_inputs.StageInputs``."""
    which = (wildcards.student, wildcards.recipe, wildcards.chain, wildcards.seed)
    return stage_inputs.of_stage(experiment, layout, *which)


def stage_backbones(wildcards):
    """The pretrained backbones that the stage starts from, if any; a newer copy reruns nothing."""
    paths = backbones.of_stage(experiment, wildcards.student, wildcards.recipe, wildcards.chain).values()
    return [ancient(path) for path in paths]


def stage_settings(wildcards):
    which = (wildcards.student, wildcards.recipe, wildcards.chain, int(wildcards.seed))
    return specs.stage(experiment, layout, *which)


def stage_spec(wildcards):
    """The stage's settings, as a file."""
    return spec_file(folders.STAGE.format(**wildcards), "stage", stage_settings(wildcards))


def stage_to_make_again(wildcards):
    folder = folders.STAGE.format(**wildcards)
    settings = partial(stage_settings, wildcards)
    return unless_it_fits(f"{folder}/metrics.json", settings, f"{folder}/student.pth")


def rows_to_make_again(wildcards):
    """``rows.json`` is a list, and holds all that it was made with."""
    path = f"{folders.EXPERIMENT}/rows.json".format(**wildcards)
    if not Path(path).exists():
        return []
    expected = json.loads(json.dumps(specs.identified(experiment, layout, table_rows())))
    differs = files.read_json(path) != expected
    return made_again(path, "the experiment has other rows" if differs else None)


def export_spec(wildcards):
    """What an exported student and its card depend on, as a file."""
    which = (wildcards.student, wildcards.recipe, wildcards.chain, int(wildcards.seed))
    return spec_file(
        folders.EXPORT.format(**wildcards), "export", card_specs.export(experiment, layout, *which)
    )


# Report

reported = rows.reported_detectors(experiment)
reported_metrics = [layout.detector(name, "metrics.json") for name in reported]
comparisons = rows.comparisons(experiment)
compared = rows.compared_arms(experiment)
reproducing = rows.reproducing_arms(experiment)


def table_rows(arms=None):
    """The rows of the table; known once the orders are."""
    return rows.rows(experiment, layout, orders_of, arms)


def shown_rows():
    """The rows that the report page has curves and pictures of."""
    return outputs.first_rows(experiment, table_rows(outputs.shown_arms(experiment)))


def command_line():
    """The command that makes the results of this experiment again."""
    named = ["--configfile", *map(str, workflow.configfiles)] if workflow.configfiles else []
    settings = [f"{key}={json.dumps(value)}" for key, value in workflow.config_settings.config.items()]
    settings = ["--config", *settings] if settings else []
    return shlex.join(["snakemake", "--cores", "all", *named, *settings, "--", "all", "reported"])


def stage_results(file, arms=None):
    """That file of every stage of the arms' rows."""
    return rows.stage_files(table_rows(arms), file)


def study_results(wildcards):
    """The metrics of every stage of the arms that train many orders of a pool, for this student."""
    arms = rows.studied_arms(experiment, wildcards.student, wildcards.pool)
    own = [row for row in table_rows(arms) if row["student"] == wildcards.student]
    return rows.stage_files(own, "metrics.json")
