"""What a deployment tells of itself to monitoring: metrics of all workers, and spans of sampled exchanges."""
