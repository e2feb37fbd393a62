rule import_data:
    input:
        unfitting=lambda w: unless_it_fits(f"{folders.DATA}/import.json".format(**w), lambda: data_import),
    output:
        train=f"{folders.DATA}/train.json",
        val=f"{folders.DATA}/val.json",
        test=[f"{folders.DATA}/test.json"] if has_test else [],
        report=f"{folders.DATA}/import.json",
        samples=f"{folders.DATA}/train_samples.jpg",
        counts=f"{folders.DATA}/counts.png",
    log:
        f"{folders.logs(folders.DATA)}/import.log",
    wildcard_constraints:
        dataset=one_of([experiment.dataset.name] if data_import else []),
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=4000,  # annotations of the size of COCO take gigabytes
        runtime=120,
    params:
        script=script("import_data.py"),
        spec=lambda w: spec_file(folders.DATA.format(**w), "import", data_import),
        folder=lambda w: folders.DATA.format(**w),
    shell:
        # Mostly the checks before the first job have done it, and it is only copied.
        "{params.script} --spec {params.spec:q} --folder {params.folder:q} > {log:q} 2>&1"


ruleorder: import_data > draw_stand_in > draw_shapes


rule draw_shapes:
    output:
        images=directory(f"{folders.DATA}/{{split}}"),
        annotations=f"{folders.DATA}/{{split}}.json",
    log:
        f"{folders.logs(folders.DATA)}/{{split}}.log",
    benchmark:
        f"{folders.DATA}/{{split}}.benchmark.tsv"
    wildcard_constraints:
        split="train|val",
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        script=script("shapes.py"),
        images=lambda w: getattr(experiment.dataset.generate, w.split),
        size=lambda w: experiment.dataset.generate.size,
        seed=lambda w: experiment.dataset.generate.seed,
    shell:
        "{params.script} --split {wildcards.split} --images {params.images} --size {params.size}"
        " --seed {params.seed} --folder {output.images:q} --annotations {output.annotations:q} > {log:q} 2>&1"


# No error yet: what is fetched needs no data.
if workflow.is_main_process:
    for line in consistency.missing_data(experiment):
        logger.warning(line)


# Only what is missing has a rule, so that Snakemake never removes data as the output of a job.
for folder, paths in data_to_fetch.items():

    rule:
        name:
            f"fetch_{as_name(folder)}"
        output:
            [directory(path) if path == folder else path for path in paths],
        log:
            f"logs/downloads/{as_name(folder)}.log",
        priority: 1
        localrule: True
        conda:
            "../../envs/mtpd.yaml"
        resources:
            mem_mb=1000,
            runtime=600,
        params:
            **experiment.dataset.download[folder].model_dump(include={"url", "sha256", "files"}),
            script=script("fetch_data.py"),
            folder=folder,
        shell:
            "{params.script} --url {params.url:q} --sha256 {params.sha256} --files {params.files}"
            " --folder {params.folder:q} > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"
