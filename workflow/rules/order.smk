checkpoint order_teachers:
    input:
        train=annotations()["train"],
        configs=lambda w: config_files(members(w)),
        weights=lambda w: [layout.detector(name, "weights.pth") for name in members(w)],
        metrics=lambda w: [layout.detector(name, "metrics.json") for name in members(w)],
        unfitting=lambda w: unless_it_fits(
            layout.order(w.student, w.pool, "order.json"),
            partial(specs.order, experiment, layout, w.student, w.pool),
        ),
    output:
        order=f"{folders.ORDER}/order.json",
        costs=f"{folders.ORDER}/cost.csv",
    log:
        f"{folders.logs(folders.ORDER)}/order.log",
    benchmark:
        f"{folders.ORDER}/benchmark.tsv"
    conda:
        "../../envs/mtpd.yaml"
    threads: compute.threads
    resources:
        **on_one_node(min(compute.gpus, 1)),
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
    params:
        script=script("order_teachers.py", min(compute.gpus, 1)),
        spec=lambda w: spec_file(
            layout.order(w.student, w.pool, ""), "order", specs.order(experiment, layout, w.student, w.pool)
        ),
    shell:
        "{params.script} --spec {params.spec:q}"
        " --weights {input.weights:q} --metrics {input.metrics:q} --costs {output.costs:q}"
        " --order {output.order:q} > {log:q} 2>&1"
