rule train_stage:
    input:
        **annotations(),
        configs=lambda w: config_files(stage_reads(w).detectors),
        teachers=lambda w: stage_reads(w).teachers,
        inherited=lambda w: stage_reads(w).inherited,
        initial=lambda w: stage_reads(w).initial,
        parent=lambda w: stage_reads(w).parent,
        backbones=stage_backbones,
        unfitting=stage_to_make_again,
    output:
        # A student that is there stays until the job ends: it is only scored if it is trained with all of this.
        student=update(f"{folders.STAGE}/student.pth"),
        inherited=update(f"{folders.STAGE}/inherited.json"),
        history=update(f"{folders.STAGE}/history.csv"),
        metrics=f"{folders.STAGE}/metrics.json",
        predictions=f"{folders.STAGE}/predictions.json",
    log:
        f"{folders.logs(folders.STAGE)}/stage.log",
    benchmark:
        f"{folders.STAGE}/benchmark.tsv"
    conda:
        "../../envs/mtpd.yaml"
    threads: compute.threads
    resources:
        **on_one_node(compute.gpus),
        mem_mb=compute.mem_mb,
        runtime=compute.runtime,
    params:
        script=script("stage.py", compute.gpus, trackers()),
        spec=stage_spec,
    shell:
        # The trainer takes the place of the shell, which a signal would end before the state is saved. Its lines of
        # progress go to the terminal, as descriptor 3, and all else to the log.
        "exec 3>&2; exec env {params.script} --spec {params.spec:q}"
        " --teachers {input.teachers:q} --inherit {input.inherited:q} --initial {input.initial:q}"
        " --parent {input.parent:q} --student {output.student:q}"
        " --workers {resources.loaders} --progress /proc/$$/fd/3 > {log:q} 2>&1"
