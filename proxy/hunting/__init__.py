"""The hunter at work: fed by events from the store, one active at a time; how findings act and what people decide."""
