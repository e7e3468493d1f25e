"""Files that people write: read strictly, checked against a model, with every fault shown where it stands."""
