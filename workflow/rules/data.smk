rule shapes:
    output:
        images=directory("results/{dataset}/data/{split}"),
        annotations="results/{dataset}/data/{split}.json",
    log:
        "logs/{dataset}/data/{split}.log",
    benchmark:
        "results/{dataset}/data/{split}.benchmark.tsv"
    wildcard_constraints:
        split="train|val",
    conda:
        "../../envs/mtpd.yaml"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        images=lambda w: getattr(experiment.dataset.generate, w.split),
        size=lambda w: experiment.dataset.generate.size,
        seed=lambda w: experiment.dataset.generate.seed,
    shell:
        "python $SCRIPTS/shapes.py --split {wildcards.split} --images {params.images} --size {params.size}"
        " --seed {params.seed} --folder {output.images:q} --annotations {output.annotations:q} > {log:q} 2>&1"
