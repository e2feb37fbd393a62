rule stage:
    input:
        **annotations(),
        configs=stage_configs,
        teachers=stage_teachers,
        parent=stage_parent,
    output:
        student="results/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}/student.pth",
        metrics="results/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}/metrics.json",
        predictions="results/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}/predictions.json",
        inherited="results/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}/inherited.json",
        history="results/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}/history.csv",
    log:
        "logs/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}/stage.log",
    benchmark:
        "results/{dataset}/students/{student}/{recipe}/{chain}/seed{seed}/benchmark.tsv"
    conda:
        "../../envs/mtpd.yaml"
    threads: compute.threads
    resources:
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
        gpu=compute.gpus,
        loaders=loaders(),  # not in params: results do not depend on it
    params:
        spec=stage_spec,
        out=lambda w, output: str(Path(output.student).parent),
        work=lambda w, output: str(Path("work", *Path(output.student).parent.parts[1:])),
    shell:
        "exec 3>&2; OMP_NUM_THREADS={threads} $LAUNCH $SCRIPTS/stage.py --spec {params.spec:q}"
        " --workers {resources.loaders} --teachers {input.teachers:q} --parent {input.parent:q} --out {params.out:q} --work {params.work:q}"
        " --label {wildcards.student}/{wildcards.recipe}/{wildcards.chain}/seed{wildcards.seed}"
        " --progress /proc/$$/fd/3 > {log:q} 2>&1"
