"""Trials as SageMaker training jobs: names, requests, paced calls, listing, logs, checkpoints, and the session over them."""
