"""What only a rehearsal needs, in place of data and checkpoints that are elsewhere or not there yet."""

# A checkpoint whose name is wrong is missing too, so the user must hear of it.
if workflow.is_main_process:
    for name in without_source():
        logger.warning(f"detectors.{name}: no checkpoint is there; the rehearsal draws random weights")
    for name, detector in experiment.detectors.items():
        if detector.initial and not detector.initial.place:
            logger.warning(
                f"detectors.{name}.initial: no checkpoint is there; the rehearsal starts without it"
            )
    if data_specs.stood_in_for(experiment) and not stood_in_for():
        logger.warning("dataset.train.annotations: no such file; the rehearsal draws COCO's classes")


rule draw_stand_in:
    input:
        real=stood_in_for(),
    output:
        images=directory(f"{folders.DATA}/{{split}}"),
        annotations=f"{folders.DATA}/{{split}}.json",
    log:
        f"{folders.logs(folders.DATA)}/{{split}}.log",
    benchmark:
        f"{folders.DATA}/{{split}}.benchmark.tsv"
    wildcard_constraints:
        split=one_of(data_specs.SPLITS if data_specs.stood_in_for(experiment) else []),
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=4000,  # annotations of the size of COCO take gigabytes
        runtime=30,
    params:
        script=script("stand_in.py"),
        classes_of=data_specs.stood_in_for(experiment),
        images=lambda w: getattr(experiment.dataset.generate, w.split),
        size=lambda w: experiment.dataset.generate.size,
        seed=lambda w: experiment.dataset.generate.seed,
    shell:
        "{params.script} --split {wildcards.split} --images {params.images} --size {params.size}"
        " --seed {params.seed} --classes-of {params.classes_of:q}"
        " --folder {output.images:q} --annotations {output.annotations:q} > {log:q} 2>&1"


rule random_weights:
    input:
        train=annotations()["train"],
        configs=lambda w: config_files([w.detector]),
    output:
        weights=f"{folders.DETECTOR}/weights.pth",
    log:
        f"{folders.logs(folders.DETECTOR)}/random_weights.log",
    benchmark:
        f"{folders.DETECTOR}/random_weights.benchmark.tsv"
    wildcard_constraints:
        detector=one_of(without_source()),
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=compute.mem_mb,
        runtime=30,
    params:
        script=script("random_weights.py"),
        spec=lambda w: spec_file(
            layout.detector(w.detector, ""), "random_weights", specs.detector(experiment, w.detector)
        ),
    shell:
        "{params.script} --spec {params.spec:q} --annotations {input.train:q} --out {output.weights:q}"
        " > {log:q} 2>&1"
