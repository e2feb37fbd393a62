"""Download a checkpoint; it appears under its name only if its hash is right."""

import argparse

import torch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--url", required=True)
parser.add_argument("--sha256", required=True, help="in hex, or its first digits")
parser.add_argument("--out", required=True)
args = parser.parse_args()

torch.hub.download_url_to_file(args.url, args.out, hash_prefix=args.sha256)
