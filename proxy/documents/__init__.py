"""Files that people write: read strictly, checked against a model, and shown with what is wrong where it stands."""
