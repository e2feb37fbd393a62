# The workflow is in workflow/, where the Snakemake workflow catalog expects it.
include: "workflow/Snakefile"


workflow.default_target = "all"  # Snakemake does not take the default target of an included file
