"""What this software costs beside what the method needs: ratios, measured side by side (`make bench`)."""
