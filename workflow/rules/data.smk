rule import_data:
    input:
        data=sum(data_to_fetch.values(), []),
        unfitting=lambda w: import_to_take_again("import.json"),
    output:
        report=f"{folders.DATA}/import.json",
        samples=report(f"{folders.DATA}/train_samples.jpg", caption="../report/samples.rst", category="Data"),
        counts=report(f"{folders.DATA}/counts.png", caption="../report/counts.rst", category="Data"),
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
        # The job runs again when the imported data change, not when the settings do.
        spec=not_compared(lambda w, threads: spec_file(folders.DATA.format(**w), "import", data_import)),
        folder=lambda w: folders.DATA.format(**w),
    shell:
        # Mostly the import is done before the first job, and only shown here.
        "{params.script} --spec {params.spec:q} --folder {params.folder:q} > {log:q} 2>&1"


# A job for each split, so that a changed one makes nothing again that reads only others.
rule take_imported:
    input:
        data=sum(data_to_fetch.values(), []),
        unfitting=lambda w: import_to_take_again(f"{w.split}.json"),
    output:
        f"{folders.DATA}/{{split}}.json",
    log:
        f"{folders.logs(folders.DATA)}/{{split}}.log",
    wildcard_constraints:
        dataset=one_of([experiment.dataset.name] if data_import else []),
        split="train|val|test",
    localrule: True
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        script=script("take_imported.py"),
        kept=not_compared(lambda w, threads: import_kept(f"{w.split}.json")),
    shell:
        "{params.script} --kept {params.kept:q} --out {output:q} > {log:q} 2>&1"


ruleorder: take_imported > draw_stand_in > draw_shapes


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
