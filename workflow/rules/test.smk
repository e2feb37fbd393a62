"""Scores on the test split, where the data have one: tables report them, and nothing is chosen by them."""

if has_test:

    use rule evaluate as test_detector with:
        input:
            **test_annotations(),
            configs=lambda w: config_files([w.detector]),
            weights=f"{folders.DETECTOR}/weights.pth",
            unfitting=lambda w: unless_it_fits(
                layout.detector(w.detector, test_split.METRICS),
                partial(specs.detector_test, experiment, layout, w.detector),
            ),
        output:
            # Scores that are there stay until the job ends: they are made again only of other weights or settings.
            metrics=update(f"{folders.DETECTOR}/{test_split.METRICS}"),
            predictions=update(f"{folders.DETECTOR}/{test_split.PREDICTIONS}"),
        log:
            f"{folders.logs(folders.DETECTOR)}/test.log",
        benchmark:
            f"{folders.DETECTOR}/test.benchmark.tsv"
        params:
            spec=lambda w: spec_file(
                layout.detector(w.detector, ""), "test", specs.detector_test(experiment, layout, w.detector)
            ),

    use rule evaluate as test_student with:
        input:
            **test_annotations(),
            configs=lambda w: config_files([w.student]),
            weights=f"{folders.STAGE}/student.pth",
            unfitting=lambda w: unless_it_fits(
                f"{folders.STAGE}/{test_split.METRICS}".format(**w), partial(student_test_settings, w)
            ),
        output:
            metrics=update(f"{folders.STAGE}/{test_split.METRICS}"),
            predictions=update(f"{folders.STAGE}/{test_split.PREDICTIONS}"),
        log:
            f"{folders.logs(folders.STAGE)}/test.log",
        benchmark:
            f"{folders.STAGE}/test.benchmark.tsv"
        params:
            spec=lambda w: spec_file(folders.STAGE.format(**w), "test", student_test_settings(w)),
