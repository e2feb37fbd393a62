rule export_student:
    input:
        **annotations(),
        configs=lambda w: config_files([w.student]),
        student=f"{folders.STAGE}/student.pth",
        metrics=f"{folders.STAGE}/metrics.json",
    output:
        model=f"{folders.EXPORT}/student.onnx",
        card=f"{folders.EXPORT}/card.md",
        numbers=f"{folders.EXPORT}/export.json",
        program=f"{folders.EXPORT}/predict.py",
    log:
        f"{folders.logs(folders.EXPORT)}/export.log",
    benchmark:
        f"{folders.EXPORT}/benchmark.tsv"
    conda:
        "../../envs/mtpd.yaml"
    threads: compute.threads
    resources:
        **on_one_node(0),
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
    params:
        script=script("export.py"),
        spec=export_spec,
    shell:
        "{params.script} --spec {params.spec:q} --student {input.student:q} --metrics {input.metrics:q}"
        " --model {output.model:q} --card {output.card:q} --numbers {output.numbers:q}"
        " --program {output.program:q} > {log:q} 2>&1 || {{ tail -n 20 {log:q} >&2; exit 1; }}"
