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
