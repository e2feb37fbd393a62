checkpoint order:
    input:
        **annotations(),
        configs=lambda w: config_files(order_members(w)),
        weights=lambda w: [detector_file(name, "weights.pth") for name in order_members(w)],
        metrics=lambda w: [detector_file(name, "metrics.json") for name in order_members(w)],
    output:
        order="results/{dataset}/order/{student}/{pool}/order.json",
        costs="results/{dataset}/order/{student}/{pool}/cost.csv",
    log:
        "logs/{dataset}/order/{student}/{pool}/order.log",
    benchmark:
        "results/{dataset}/order/{student}/{pool}/benchmark.tsv"
    conda:
        "../../envs/mtpd.yaml"
    threads: compute.threads
    resources:
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
        gpu=min(compute.gpus, 1),
    params:
        spec=lambda w: as_json(
            {
                "dataset": dataset_spec(),
                "student": w.student,
                "detectors": {name: tapped_spec(name) for name in order_members(w)},
                "order": experiment.order.model_dump(),
            }
        ),
    shell:
        "OMP_NUM_THREADS={threads} python $SCRIPTS/order.py --spec {params.spec:q} --weights {input.weights:q}"
        " --metrics {input.metrics:q} --costs {output.costs:q} --order {output.order:q} > {log:q} 2>&1"
